"""Picture files whose scale, texts or transparency are odd, and whose film is good."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from worker.decoding import decode
from worker.errors import Reason, RejectedImage
from worker.films.phantoms import draw

FILM = draw("No-Findings", seed=1)
DEEP = FILM.astype(np.uint16) * 16 + 7


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(added: bytes, *, at_the_end: bool) -> bytes:
    """Return a PNG with one more chunk, after its header or before its end."""
    png = encoded(Image.fromarray(FILM))
    position = len(png) - 12 if at_the_end else 33
    return png[:position] + added + png[position:]


LONG = b"x" * 3 * 2**20
TEXTS = {
    "deflated XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LONG)),
    "plain XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LONG),
    "deflated text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
    "plain text": chunk(b"tEXt", b"Comment\0" + LONG),
    "colour profile": chunk(b"iCCP", b"ICC\0\0" + zlib.compress(np.random.default_rng(0).bytes(3 * 2**20))),
    "a hundred texts": 100 * chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG[: 2**20])),
}


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_megabytes_of_text_beside_a_good_picture_are_left_out(text, at_the_end):
    """Pillow reads a megabyte of text at most, and rejects the file otherwise."""
    assert np.array_equal(FILM, decode(with_chunk(TEXTS[text], at_the_end=at_the_end)))


def test_a_text_that_pillow_reads_still_turns_the_film():
    """Its orientation may stand in XMP, and in nothing else."""
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="3"/>'

    assert np.array_equal(np.rot90(FILM, 2), decode(with_chunk(chunk(b"iTXt", xmp), at_the_end=False)))


def test_a_png_of_more_chunks_than_any_encoder_writes_is_damage():
    """Each of them costs time."""
    with pytest.raises(RejectedImage, match="more than 200000 chunks"):
        decode(with_chunk(250_000 * chunk(b"teSt", b""), at_the_end=False))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_a_colour_profile_of_megabytes_rejects_no_picture(kind):
    """In no format."""
    profile = np.random.default_rng(0).bytes(3 * 2**20)

    assert FILM.shape == decode(encoded(Image.fromarray(FILM), kind, icc_profile=profile)).shape


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_every_orientation_of_exif_gives_the_upright_film(kind, orientation):
    """As Pillow turns it."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(FILM[:200]), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture).convert("L"))

    assert np.array_equal(upright, decode(data))


def test_an_exif_that_cannot_be_read_rejects_no_picture():
    """Nobody needs it to see the film."""
    assert np.array_equal(FILM, decode(with_chunk(chunk(b"eXIf", b"no exif at all"), at_the_end=False)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("marked", [1, 200])
def test_a_marker_at_the_end_of_the_scale_leaves_the_film_its_greys(kind, marked):
    """A film of 12 bits in 16 would be nearly black."""
    hot = DEEP.copy()
    hot[5, 5 : 5 + marked] = 65535

    film = decode(encoded(Image.fromarray(hot), kind))

    assert np.array_equal(decode(encoded(Image.fromarray(DEEP), kind))[hot == DEEP], film[hot == DEEP])
    assert 255 == film[5, 5]


def test_a_dead_pixel_leaves_a_film_of_floats_its_greys():
    """Its scale is that of the others."""
    floats = FILM.astype(np.float32) / 255
    hot = floats.copy()
    hot[5, 5], hot[5, 6] = 1e6, -1e6

    film = decode(encoded(Image.fromarray(hot), "TIFF"))

    assert np.array_equal(decode(encoded(Image.fromarray(floats), "TIFF"))[6:], film[6:])
    assert (255, 0) == (film[5, 5], film[5, 6])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_narrow_range_far_from_zero_is_stretched(kind):
    """A thousand values between 30,000 and 31,023 are a film."""
    narrow = Image.fromarray((30000 + FILM.astype(np.uint16) * 4).astype(np.uint16))

    film = decode(encoded(narrow, kind))

    assert np.abs(FILM.astype(int) - film).max() <= np.ptp(FILM.astype(int)) * 0.02 + (255 - np.ptp(FILM))
    assert (0, 255) == (film.min(), film.max())
    assert np.corrcoef(FILM.ravel(), film.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("offset", [0, 1000])
def test_what_is_no_number_is_no_part_of_the_range(nothing, offset):
    """A border of NaN is black, whatever the scale of the film."""
    floats = FILM.astype(np.float32) / 255 + offset
    expected = decode(encoded(Image.fromarray(floats[:, 20:].copy()), "TIFF"))
    floats[:, :20] = nothing

    film = decode(encoded(Image.fromarray(floats), "TIFF"))

    assert np.array_equal(expected, film[:, 20:])
    assert (255 if nothing == np.inf else 0) == film[:, :20].max() == film[:, :20].min()


@pytest.mark.parametrize("value", [np.nan, 5.0])
def test_a_picture_of_floats_without_a_film_is_blank(value):
    """It has no range at all."""
    with pytest.raises(RejectedImage) as rejected:
        decode(encoded(Image.fromarray(np.full((128, 128), value, np.float32)), "TIFF"))
    assert Reason.BLANK == rejected.value.reason


def test_floats_at_the_ends_of_their_scale_are_stretched():
    """The width of their range is more than single precision holds."""
    huge = (FILM.astype(np.float32) / 128 - 1) * np.float32(3.4e38)

    film = decode(encoded(Image.fromarray(huge), "TIFF"))

    assert np.corrcoef(FILM.ravel(), film.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_alpha_channel_that_hides_everything_is_not_believed(mode):
    """Some exports leave it empty."""
    image = Image.fromarray(FILM).convert(mode)
    image.putalpha(0)

    assert np.abs(FILM.astype(int) - decode(encoded(image))).max() <= 1


def test_a_palette_that_hides_everything_is_not_believed():
    """Transparency may stand beside a palette, too."""
    image = Image.fromarray(FILM).convert("P")

    assert np.abs(FILM.astype(int) - decode(encoded(image, transparency=bytes(256)))).max() <= 1


def test_a_half_transparent_film_is_darker_as_before():
    """Alpha lies over black, by Pillow's own arithmetic."""
    from PIL import ImageChops

    image = Image.fromarray(FILM).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))))
    expected = ImageChops.multiply(Image.fromarray(FILM), image.getchannel("A"))

    assert np.abs(np.asarray(expected, int) - decode(encoded(image))).max() <= 1


def test_pillows_limit_is_the_one_that_texts_are_measured_by():
    """A text that is longer than its limit would be kept if it grew."""
    from worker.decoding.png_texts import without_large_texts

    data = with_chunk(
        chunk(b"zTXt", b"k\0\0" + zlib.compress(b"y" * (PngImagePlugin.MAX_TEXT_CHUNK // 2))), at_the_end=False
    )

    assert without_large_texts(data) is data
