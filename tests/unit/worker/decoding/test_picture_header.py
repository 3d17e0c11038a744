"""How much memory a picture takes is known from its header, before it is decoded."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from worker.decoding import Limits, decode
from worker.decoding.picture_header import webp_size
from worker.errors import Reason, RejectedImage
from worker.films.phantoms import draw

FILM = draw("No-Findings", seed=1)
PIXELS = FILM.size


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray(FILM)
TURNED = {"tiffinfo": {274: 6}}
#: Bytes of a pixel that decoding took at most, measured with films of 30 to 60 million pixels.
MEASURED = {
    "WebP": (16.1, encoded(GREY, "WEBP")),
    "GIF": (3.8, encoded(GREY, "GIF")),
    "float TIFF": (7.8, encoded(Image.fromarray(FILM.astype(np.float32)), "TIFF", compression="tiff_adobe_deflate")),
    "turned TIFF": (8.0, encoded(GREY.convert("RGB"), "TIFF", compression="tiff_lzw", **TURNED)),
    "RGB": (4.8, encoded(GREY.convert("RGB"), "PNG")),
    "RGBA": (5.8, encoded(GREY.convert("RGBA"), "PNG")),
    "grey and alpha": (5.8, encoded(GREY.convert("LA"), "PNG")),
    "16 bits": (3.9, encoded(Image.fromarray(FILM.astype(np.uint16) * 16), "PNG")),
    "grey": (1.9, encoded(GREY, "PNG")),
    "palette": (2.9, encoded(GREY.convert("P"), "PNG")),
}


@pytest.mark.parametrize("kind", MEASURED)
def test_no_picture_takes_more_memory_than_its_header_tells(kind):
    """A file for which there is just too little is rejected before it is decoded."""
    per_pixel, data = MEASURED[kind]

    with pytest.raises(RejectedImage, match="bytes of memory") as rejected:
        decode(data, Limits(max_memory=int(PIXELS * per_pixel) + len(data)))

    assert Reason.TOO_MANY_PIXELS == rejected.value.reason
    assert FILM.shape == decode(data, Limits(max_memory=int(PIXELS * (per_pixel + 1.2)) + len(data))).shape


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 80, "exif": b"Exif\0\0"}])
@pytest.mark.parametrize("size", [(64, 190), (300, 299)])
def test_the_size_of_a_webp_is_known_before_it_is_opened(options, size):
    """Its decoder makes room for the whole picture when it opens the file."""
    data = encoded(GREY.resize(size), "WEBP", **options)

    assert size == webp_size(data)
    assert webp_size(data[:29]) is None


def tiled(side: int) -> bytes:
    """Return the header of a TIFF of 512 x 512 grey pixels with one tile of this side."""
    tags = {256: 512, 257: 512, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: 0}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_tile_counts_as_memory_however_small_the_picture_is():
    """A decoder has room for a whole tile."""
    with pytest.raises(RejectedImage, match="bytes of memory"):
        decode(tiled(30_000))


def run_length_coded(width: int, height: int) -> bytes:
    """Return a BMP in which each pixel is a run of its own."""
    rows = np.resize(np.arange(200, dtype=np.uint8), (height, width))
    runs = np.stack([np.ones_like(rows), rows], axis=-1).reshape(height, -1)
    pixels = b"".join(row.tobytes() + b"\0\0" for row in runs) + b"\0\1"
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + palette + pixels


def test_a_long_run_length_coding_is_rejected_before_it_costs_time():
    """Pillow decodes it in Python: 63 MB took 21 s."""
    assert (256, 300) == decode(run_length_coded(300, 256)).shape
    with pytest.raises(RejectedImage, match="run-length coded") as rejected:
        decode(run_length_coded(2100, 2100))
    assert Reason.TOO_MANY_BYTES == rejected.value.reason
