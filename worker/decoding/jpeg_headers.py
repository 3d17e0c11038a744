"""The headers of JPEG, JPEG-LS and JPEG 2000 streams, checked before a decoder gets the stream."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from worker.decoding.limits import Limits, check_memory
from worker.errors import Reason, RejectedImage

#: A progressive JPEG has about ten scans, and a decoder passes over the whole picture for each.
MAX_SCANS = 64
#: A picture of the largest size may have this many scans, which take a few seconds.
SCANS_AT_THE_PIXEL_LIMIT = 16

START_OF_JPEG = b"\xff\xd8"
START_OF_JPEG_2000 = b"\xff\x4f\xff\x51"
#: The box that holds the codestream in a JP2 file.
JP2_CODESTREAM = b"jp2c"
CODING_STYLE, START_OF_TILE, FIRST_MARKER = b"\xff\x52", 0xFF90, 0xFF01
SIGN_BIT = 0x80
#: The side of a code block is 2 to the power of four bits, plus two.
POWER, LEAST_POWER = 0xF, 2
#: What OpenJPEG takes for each resolution level of a tile, and for each code block: measured, and rounded up.
BYTES_PER_LEVEL, BYTES_PER_CODE_BLOCK = 2048, 512
SCAN_MARKER = 0xDA
#: Markers without a length. Decoders skip them, but `_segments` cannot, so they are not allowed before the pixels.
BARE_MARKERS = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
SCAN = b"\xff\xda"
#: Frame headers: SOF0 to SOF15 without the tables and extensions between them, and JPEG-LS's.
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
#: Baseline, extended and progressive Huffman, which Pillow decodes.
DCT_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
#: Baseline and extended. A decoder passes over the pixels once if the first scan has every component.
SEQUENTIAL = frozenset({0xC0, 0xC1})
EIGHT_BITS = 8
#: Each coefficient of a JPEG in several scans, such as a progressive one.
BYTES_PER_COEFFICIENT = 2
#: The bytes of a stream lie in the file and in Pillow's buffer.
COPIES = 2


@dataclass(frozen=True)
class Header:
    """What the header of a stream states."""

    width: int
    height: int
    components: int
    #: Bits in a sample.
    precision: int
    #: The marker of a JPEG's frame; 0 for JPEG 2000.
    frame: int = 0
    #: Whether samples are signed, which only JPEG 2000 states.
    is_signed: bool = False
    #: Bytes that a decoder needs for the tiles and code blocks of JPEG 2000, besides the pixels.
    block_bytes: int = 0

    @property
    def has_sign(self) -> bool:
        """Tell whether the stream states if its samples are signed."""
        return self.frame == 0

    @property
    def is_plain_jpeg(self) -> bool:
        """Tell whether this is an 8-bit JPEG of cosine transforms."""
        return self.frame in DCT_FRAMES and self.precision == EIGHT_BITS


def read_header(stream: bytes) -> Header:
    """Return the header of a stream.

    Raises:
        RejectedImage: corrupt; it is none of these streams, or ends within its header.
    """
    try:
        if stream.startswith(START_OF_JPEG):
            return _jpeg(stream)
        return _jpeg_2000(stream)
    except (struct.error, ValueError, IndexError) as error:
        raise RejectedImage(Reason.CORRUPT, "the compressed picture has no readable header") from error


def _jpeg(stream: bytes) -> Header:
    marker, position = next(segment for segment in _segments(stream) if segment[0] in FRAMES)
    precision, height, width, components = struct.unpack_from(">BHHB", stream, position)
    return Header(width, height, components, precision, marker)


def _segments(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment before the pixels, and where its content begins; only an error ends it."""
    position = len(START_OF_JPEG)
    while True:
        start, marker, length = struct.unpack_from(">BBH", stream, position)
        if start != 0xFF:  # noqa: PLR2004 - what every marker begins with
            raise ValueError("no marker where one must be")
        if marker in BARE_MARKERS:
            raise ValueError("a marker that has no place before the pixels")
        if marker != 0xFF:  # noqa: PLR2004 - a fill byte
            yield marker, position + 4
            position += 1 + length
        position += 1


def _jpeg_2000(stream: bytes) -> Header:
    start = 0 if stream.startswith(START_OF_JPEG_2000) else stream.index(JP2_CODESTREAM) + len(JP2_CODESTREAM)
    if not stream.startswith(START_OF_JPEG_2000, start):
        raise ValueError("no codestream")
    # Lsiz, Rsiz; size of the reference grid, offset of the picture on it, the same of the tiles; components.
    length, _, *grid, components = struct.unpack_from(">HHIIIIIIIIH", stream, start + 4)
    right, bottom, left, top, tile_width, tile_height, tiles_left, tiles_top = grid
    if not (tile_width and tile_height):
        raise ValueError("tiles without pixels")
    tiles = -(-(right - tiles_left) // tile_width) * -(-(bottom - tiles_top) // tile_height)
    width, height, sign_and_bits = right - left, bottom - top, stream[start + 42]
    return Header(
        width=width,
        height=height,
        components=components,
        precision=(sign_and_bits & ~SIGN_BIT) + 1,
        is_signed=bool(sign_and_bits & SIGN_BIT),
        block_bytes=_block_bytes(stream, start + 4 + length, tiles, width * height),
    )


def _block_bytes(stream: bytes, position: int, tiles: int, pixels: int) -> int:
    """Return the bytes for tiles and code blocks; the coding style stands in a segment after that of the size."""
    while not stream.startswith(CODING_STYLE, position):
        marker, length = struct.unpack_from(">HH", stream, position)
        if marker == START_OF_TILE or marker < FIRST_MARKER:
            raise ValueError("no coding style")
        position += 2 + length
    # Marker, length, Scod; order, layers and colour transform; levels, and the sides of a code block as powers of two.
    levels, width_power, height_power = struct.unpack_from(">BBB", stream, position + 9)
    blocks = pixels >> (width_power & POWER) + (height_power & POWER) + 2 * LEAST_POWER
    return int(tiles * (levels + 1) * BYTES_PER_LEVEL + blocks * BYTES_PER_CODE_BLOCK)


def check_work(stream: bytes, header: Header, limits: Limits) -> None:
    """Reject a JPEG of cosine transforms that costs more time or memory than a film is worth.

    At its reduced scale the picture itself is small. The coefficients of one in several scans are not. No encoder makes
    more scans than the limit.

    Raises:
        RejectedImage: corrupt or too_many_pixels.
    """
    has_coefficients = has_several_scans(stream, header)
    scans, pixels = stream.count(SCAN) if has_coefficients else 1, header.width * header.height
    if scans > MAX_SCANS or pixels * scans > SCANS_AT_THE_PIXEL_LIMIT * limits.max_pixels:
        raise RejectedImage(Reason.CORRUPT, f"a JPEG of {scans} scans; no encoder makes so many for this size")
    per_pixel = BYTES_PER_COEFFICIENT * header.components if has_coefficients else 1
    check_memory(header.width, header.height, per_pixel, COPIES * len(stream), limits)


def has_several_scans(stream: bytes, header: Header) -> bool:
    """Tell whether a decoder expects more than one scan, and so has all coefficients in memory until the last one.

    Nearly every file has one scan, with every component.

    Raises:
        RejectedImage: corrupt; the stream ends before its pixels.
    """
    if header.frame not in SEQUENTIAL:
        return True
    try:
        first = next(content for marker, content in _segments(stream) if marker == SCAN_MARKER)
        return stream[first] != header.components
    except (struct.error, ValueError, IndexError) as error:
        raise RejectedImage(Reason.CORRUPT, "the compressed picture ends before its pixels") from error
