"""Leaves the texts and colour profiles out of a PNG that are too large for Pillow, which would reject the file."""

import struct
import zlib

from PIL import PngImagePlugin

from worker.errors import Reason, RejectedImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks that hold texts and profiles, and whether they are always deflated; the others are so where a flag says so.
TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
#: Encoders write pixels in pieces of 8 kB or more, so a file of 64 MB has at most 8,192 of them.
MAX_CHUNKS = 200_000
#: Length and name stand before a chunk's content, a checksum after it.
FRAME_BYTES, CHECKSUM_BYTES = 8, 4


def without_large_texts(data: bytes) -> bytes:
    """Return a PNG without the texts that are longer than Pillow reads; anything else comes back as it is.

    Pillow reads texts because an orientation may stand in them, so those that it can read are kept.

    Raises:
        RejectedImage: corrupt; more chunks than any encoder writes, which would only cost time.
    """
    if not data.startswith(SIGNATURE):
        return data
    kept, kept_from, position, total = [], 0, len(SIGNATURE), 0
    for _ in range(MAX_CHUNKS):
        if position + FRAME_BYTES > len(data):
            break
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + FRAME_BYTES + length + CHECKSUM_BYTES
        if name in TEXTS:
            size = _text_bytes(name, data[position + FRAME_BYTES : end - CHECKSUM_BYTES])
            if size > PngImagePlugin.MAX_TEXT_CHUNK or total + size > PngImagePlugin.MAX_TEXT_CHUNK:
                kept.append(data[kept_from:position])
                kept_from = end
            else:
                total += size
        position = end
    else:
        raise RejectedImage(Reason.CORRUPT, f"a PNG of more than {MAX_CHUNKS} chunks")
    return b"".join([*kept, data[kept_from:]]) if kept else data


def _text_bytes(name: bytes, content: bytes) -> int:
    """Return how long a text is once it is inflated, or one more byte than Pillow reads if it is longer."""
    most = PngImagePlugin.MAX_TEXT_CHUNK + 1
    deflated = _deflated(name, content)
    if deflated is None or len(content) >= most:
        return len(content)
    try:
        return len(content) + len(zlib.decompressobj().decompress(deflated, most))
    except zlib.error:
        return len(content)  # Pillow leaves it out, or rejects the file.


def _deflated(name: bytes, content: bytes) -> bytes | None:
    """Return the deflated part of a chunk, None where the text is plain."""
    _keyword, _, rest = content.partition(b"\0")
    if name in {b"zTXt", b"iCCP"}:
        return rest[1:]
    if name == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return None
