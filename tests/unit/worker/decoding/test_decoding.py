"""Pictures of every format are decoded or rejected."""

import io

import numpy as np
import pytest
from PIL import Image

from worker.decoding import Limits, decode, resize
from worker.errors import Reason, RejectedImage
from worker.films.phantoms import draw

FILM = draw("No-Findings", seed=1)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_a_lossless_film_comes_back_pixel_for_pixel(kind):
    """The network gets exactly what the sender saved."""
    assert np.array_equal(FILM, decode(encoded(Image.fromarray(FILM), kind)))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_a_lossy_film_comes_back_nearly_the_same(kind, options):
    """The only difference is the loss of the format."""
    assert np.abs(FILM.astype(int) - decode(encoded(Image.fromarray(FILM), kind, **options))).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_grey_film_in_another_mode_is_the_same_film(mode):
    """Colour channels and opaque alpha change nothing."""
    assert np.abs(FILM.astype(int) - decode(encoded(Image.fromarray(FILM).convert(mode), "PNG"))).max() <= 2


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_greys_keep_their_top_eight_bits(bits):
    """A 12-bit film stored in 16 bits is not black."""
    bright = FILM.copy()
    bright[0, 0] = 255
    deep = Image.fromarray(bright.astype(np.uint16) << (bits - 8))

    assert np.array_equal(bright, decode(encoded(deep, "PNG")))


def test_floats_are_stretched_over_their_range():
    """A float film of undeclared scale spans black to white."""
    film = decode(encoded(Image.fromarray(FILM.astype(np.float32) / 7 - 3), "TIFF"))

    assert (0, 255) == (film.min(), film.max())
    assert np.corrcoef(FILM.ravel(), film.ravel())[0, 1] > 0.999


def test_a_film_turned_by_exif_stands_upright():
    """The camera's note on orientation is obeyed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(FILM).rotate(90, expand=True), "PNG", exif=exif)

    assert np.array_equal(FILM, decode(turned))


def test_transparency_lies_over_black():
    """Transparent edges are unexposed film."""
    image = Image.fromarray(FILM).convert("RGBA")
    image.paste((255, 255, 255, 0), (0, 0, 30, 256))

    assert decode(encoded(image, "PNG"))[:, :30].max() == 0


PNG = encoded(Image.fromarray(FILM), "PNG")
JPEG = encoded(Image.fromarray(FILM), "JPEG")


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        (Reason.EMPTY, b""),
        (Reason.UNSUPPORTED_FORMAT, b"<html>not here</html>" * 20),
        (Reason.UNSUPPORTED_FORMAT, b"%PDF-1.7 nothing more"),
        (Reason.CORRUPT, PNG[: len(PNG) // 2]),
        (Reason.CORRUPT, JPEG[: len(JPEG) // 2]),
        (
            Reason.SEVERAL_FRAMES,
            encoded(Image.fromarray(FILM), "TIFF", save_all=True, append_images=[Image.new("L", (256, 256))]),
        ),
        (Reason.TOO_SMALL, encoded(Image.new("L", (32, 300)), "PNG")),
        (Reason.BLANK, encoded(Image.new("L", (256, 256), 255), "PNG")),
    ],
)
def test_what_is_no_film_is_rejected_with_its_reason(reason, data):
    """Each kind of bad file has a reason of its own."""
    with pytest.raises(RejectedImage) as rejected:
        decode(data)

    assert reason == rejected.value.reason


def test_limits_are_checked_before_pixels_are_decoded():
    """Only the header of a decompression bomb is read."""
    with pytest.raises(RejectedImage) as bytes_over:
        decode(PNG, Limits(max_bytes=100))
    with pytest.raises(RejectedImage) as pixels_over:
        decode(PNG, Limits(max_pixels=1000))

    assert Reason.TOO_MANY_BYTES == bytes_over.value.reason
    assert Reason.TOO_MANY_PIXELS == pixels_over.value.reason


def test_a_jpeg_with_too_many_scans_is_rejected_before_it_is_decoded():
    """Only a progressive JPEG can have them: decoders reject data after the single scan of a plain one."""
    progressive = encoded(Image.fromarray(FILM), "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    with pytest.raises(RejectedImage, match=r"10\d scans"):
        decode(progressive[:last] + 100 * progressive[last:-2] + progressive[-2:])

    plain = encoded(Image.fromarray(FILM).convert("RGB"), "JPEG")
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    with pytest.raises(RejectedImage, match="damaged"):
        decode(plain[:-2] + 100 * scan + plain[-2:])


def test_no_header_hides_the_number_of_scans_of_a_jpeg():
    """An arithmetic frame is progressive, too, and a bare marker could make the search pass over the true frame."""
    progressive = encoded(Image.fromarray(FILM), "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    bomb = progressive[:last] + 100 * progressive[last:-2] + progressive[-2:]
    with pytest.raises(RejectedImage, match=r"10\d scans"):
        decode(bomb.replace(b"\xff\xc2", b"\xff\xca", 1))

    plain = encoded(Image.fromarray(FILM), "JPEG")
    # As a segment, FF D0 would be 65,534 bytes long and end where the second comment shows a plain header.
    comments = segment(bytes(65_000)) + segment(bytes(526) + plain[2:])
    with pytest.raises(RejectedImage, match="no readable header"):
        decode(bomb[:2] + b"\xff\xd0" + comments + bomb[2:])


def in_separate_scans(components: int) -> bytes:
    """Return FILM as a baseline JPEG with a scan for each of several equal components."""
    grey = encoded(Image.fromarray(FILM), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.rindex(b"\xff\xda")
    numbers = range(1, components + 1)
    length = (8 + 3 * components).to_bytes(2, "big")
    header = length + grey[frame + 4 : frame + 9] + bytes([components, *(b for n in numbers for b in (n, 0x11, 0))])
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([n, 0, 0, 63, 0]) + grey[scan + 10 : -2] for n in numbers)
    return grey[:frame] + b"\xff\xc0" + header + grey[frame + 13 : scan] + scans + grey[-2:]


def test_the_coefficients_of_a_jpeg_in_several_scans_count_as_memory():
    """A decoder keeps all of them in memory until the last scan, progressive or not."""
    baseline = in_separate_scans(4)
    progressive = encoded(Image.fromarray(FILM).convert("CMYK"), "JPEG", progressive=True)
    one_scan = encoded(Image.fromarray(FILM).convert("CMYK"), "JPEG")

    assert FILM.shape == decode(one_scan, Limits(max_memory=4 * FILM.size)).shape
    for several_scans in (baseline, progressive):
        least = 4 * 2 * FILM.size + 2 * len(several_scans)
        assert FILM.shape == decode(several_scans, Limits(max_memory=least)).shape
        with pytest.raises(RejectedImage, match="bytes of memory") as rejected:
            decode(several_scans, Limits(max_memory=least - 1))
        assert Reason.TOO_MANY_PIXELS == rejected.value.reason


def segment(comment: bytes) -> bytes:
    """Return the segment of a comment in a JPEG."""
    return b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment


def test_damage_anywhere_gives_a_film_or_a_rejection():
    """A thousand damaged files raise nothing but RejectedImage."""
    random = np.random.default_rng(0)
    for number in range(1000):
        data = bytearray(PNG if number % 2 else JPEG)
        for position in random.integers(0, len(data), 8):
            data[position] = random.integers(256)
        try:
            film = decode(bytes(data[: random.integers(1, len(data) + 1)]))
        except RejectedImage:
            continue
        assert np.uint8 == film.dtype


def test_resizing_keeps_the_mean_grey_and_an_equal_size_untouched():
    """The network's input is the film, smaller."""
    small = resize(FILM, (64, 48))

    assert (64, 48) == small.shape
    assert abs(float(small.mean()) - float(FILM.mean())) < 1
    assert resize(FILM, FILM.shape) is FILM


@pytest.mark.parametrize(("side", "decoded_side"), [(256, 256), (1023, 1023), (1024, 512), (2100, 525), (4096, 512)])
def test_a_large_jpeg_is_decoded_at_the_smallest_scale_that_keeps_512_pixels(side, decoded_side):
    """No network needs more pixels; smaller films are decoded at full scale."""
    film = decode(encoded(Image.fromarray(FILM).resize((side + 40, side)), "JPEG"))

    assert decoded_side == film.shape[0]
    assert film.shape[1] > decoded_side


def test_a_jpeg_decoded_at_half_scale_is_the_same_film():
    """The scale changes the size, not the greys."""
    data = encoded(Image.fromarray(FILM).resize((1024, 1024)), "JPEG", quality=95)
    whole = np.asarray(Image.open(io.BytesIO(data)))

    assert np.abs(resize(whole, (192, 192)).astype(int) - resize(decode(data), (192, 192))).mean() < 1
