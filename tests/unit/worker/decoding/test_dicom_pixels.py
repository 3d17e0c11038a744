"""Stored values: where their bits lie, and streams that contradict the file around them."""

import io

import numpy as np
import pytest
from dicom_films import DEEP, FILM, dataset, dicom_file
from PIL import Image
from pydicom import dcmwrite
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from worker.decoding import Limits, decode
from worker.errors import Reason, RejectedImage

WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096}


def bytes_of(film) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, film, enforce_file_format=True)
    return buffer.getvalue()


def compressed(pixels, syntax, *, bits, signed=0, **changes) -> bytes:
    """Return a film that was compressed as it was, and whose attributes were changed afterwards."""
    film = dataset(pixels, bits=bits, signed=signed)
    film.compress(syntax, generate_instance_uid=False)
    for name, value in changes.items():
        setattr(film, name, value)
    return bytes_of(film)


def reason_of(data: bytes) -> Reason:
    with pytest.raises(RejectedImage) as rejected:
        decode(data)
    return rejected.value.reason


@pytest.mark.parametrize("high_bit", [12, 13, 15])
@pytest.mark.parametrize("rubbish", [0, 1])
def test_a_value_may_lie_higher_in_its_word(high_bit, rubbish):
    """Bits below and above it do not count, and none is dropped twice."""
    shift = high_bit - 11
    shifted = ((DEEP.astype(np.uint32) << shift) | (rubbish * ((1 << shift) - 1))) & 0xFFFF

    film = decode(dicom_file(shifted.astype(np.uint16), bits=12, HighBit=high_bit, **WHOLE))

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), film)


def test_a_signed_value_may_lie_higher_in_its_word():
    """The sign is its own highest bit."""
    shifted = (((DEEP.astype(np.int32) - 2048) & 0x0FFF) << 4).astype(np.uint16)

    film = decode(dicom_file(shifted, bits=12, signed=1, HighBit=15, WindowCenter=0, WindowWidth=4096))

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), film)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_higher_value_keeps_its_place_when_it_is_compressed(syntax):
    """The stream has the whole word."""
    data = compressed((DEEP << 4).astype(np.uint16), syntax, bits=16, BitsStored=12, HighBit=15,
                      WindowCenter=2048, WindowWidth=4096)  # fmt: skip

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), decode(data))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_stream_of_more_bits_than_stated_is_damage_unless_its_values_fit(syntax):
    """A film of 12 bits may be compressed as one of 16."""
    fits = compressed(DEEP, syntax, bits=16, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    exceeds = compressed((DEEP << 4).astype(np.uint16), syntax, bits=16, BitsStored=12, HighBit=11)

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), decode(fits))
    assert Reason.CORRUPT == reason_of(exceeds)


@pytest.mark.parametrize(
    ("values", "signed", "said"),
    [(DEEP.astype(np.int32) - 2048, 1, 0), (DEEP.astype(np.int32), 0, 1)],
    ids=["signed stream", "signed file"],
)
def test_a_sign_that_only_one_of_stream_and_file_knows_is_damage(values, signed, said):
    """Half of the values would be folded over."""
    pixels = values.astype(np.int16).view(np.uint16)

    assert Reason.CORRUPT == reason_of(
        compressed(pixels, JPEG2000Lossless, bits=12, signed=signed, PixelRepresentation=said)
    )


@pytest.mark.parametrize("signed", [0, 1])
def test_a_sign_that_changes_no_value_is_no_contradiction(signed):
    """Values below half of the range mean the same either way."""
    low = (DEEP // 2).astype(np.uint16)

    film = decode(compressed(low, JPEG2000Lossless, bits=12, signed=signed, PixelRepresentation=1 - signed))

    assert np.corrcoef(film.ravel(), FILM.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_a_signed_film_is_the_same_film_when_it_is_compressed(syntax):
    """JPEG-LS and RLE state no sign: the file does."""
    signed = (DEEP.astype(np.int32) - 2048).astype(np.int16).view(np.uint16)

    film = decode(compressed(signed, syntax, bits=12, signed=1, WindowCenter=0, WindowWidth=4096))

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), film)


def test_a_lossy_jpeg_of_8_bits_in_a_file_of_12_is_damage():
    """Its scale is lost, so a window of 12 bits would show nothing."""
    jpeg = io.BytesIO()
    Image.fromarray(FILM).save(jpeg, "JPEG", quality=95)
    pixels = {"PixelData": encapsulate([jpeg.getvalue()])}

    assert Reason.CORRUPT == reason_of(dicom_file(DEEP, bits=12, syntax=JPEGBaseline8Bit, **pixels))


@pytest.mark.parametrize("excess", [1, 2, 8, 1000, 256 * 256 * 2 - 2])
def test_bytes_after_the_pixels_are_padding(excess):
    """DICOM has a receiver accept them."""
    padded = dicom_file(DEEP, bits=12, **WHOLE, PixelData=DEEP.tobytes() + b"\x7f" * (excess + excess % 2))

    assert np.array_equal(decode(dicom_file(DEEP, bits=12, **WHOLE)), decode(padded))


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 2048, b"\xff" * 7, b" " * 100, b"\x08\x00\x60\x00CS\x02\x00CT"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_bytes_after_the_film_are_not_read(syntax, rest):
    """Media are written in blocks."""
    from pydicom.uid import UID

    assert np.array_equal(FILM, decode(dicom_file(syntax=UID(syntax)) + rest))


def test_a_segment_of_rle_that_is_too_long_is_damage(capfd):
    """The plug-in panics, and a panic is no ordinary exception."""
    film = dataset(DEEP, bits=12)
    film.compress(RLELossless, generate_instance_uid=False)
    stream = get_frame(film.PixelData, 0, number_of_frames=1)
    second = int.from_bytes(stream[8:12], "little")
    more = b"\x81\x05" * 600
    longer = stream[:8] + (second + len(more)).to_bytes(4, "little") + stream[12:second] + more + stream[second:]
    film.PixelData = encapsulate([longer])

    assert Reason.CORRUPT == reason_of(bytes_of(film))


def jpeg_2000(side: int, **options) -> bytes:
    """Return a film in JPEG 2000."""
    stream = io.BytesIO()
    picture = Image.fromarray(FILM).resize((side, side))
    picture.save(stream, "JPEG2000", no_jp2=True, irreversible=False, **options)
    return dicom_file(np.asarray(picture), syntax=JPEG2000Lossless, PixelData=encapsulate([stream.getvalue()]))


@pytest.mark.parametrize("options", [{"tile_size": (4, 4)}, {"codeblock_size": (4, 4)}])
def test_tiles_and_code_blocks_of_jpeg_2000_count_as_memory(options):
    """A film of 62,500 tiles took a gigabyte; one of a million code blocks would take half as much."""
    data = jpeg_2000(512, **options)
    many = 16_384

    with pytest.raises(RejectedImage, match="bytes of memory") as rejected:
        decode(data, Limits(max_memory=many * 400))

    assert Reason.TOO_MANY_PIXELS == rejected.value.reason
    assert (512, 512) == decode(data).shape
    assert (512, 512) == decode(jpeg_2000(512), Limits(max_memory=many * 400)).shape


@pytest.mark.parametrize("change", [b"\xff\x52", b"\xff\x90"])
def test_a_stream_without_its_coding_style_is_damage(change):
    """It states how much memory it takes."""
    data = jpeg_2000(256)
    position = data.index(b"\xff\x52")

    assert Reason.CORRUPT == reason_of(data[:position] + b"\xff\x90" + data[position + 2 :])
    assert Reason.CORRUPT == reason_of(data[:position] + change[:1] + b"\x00" + data[position + 2 :])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_film_counts_what_its_decoder_takes(syntax):
    """Four to seven bytes of each pixel, where two are stored."""
    data = compressed(DEEP, syntax, bits=12)

    with pytest.raises(RejectedImage, match="bytes of memory"):
        decode(data, Limits(max_memory=4 * DEEP.size))
    assert DEEP.shape == decode(data, Limits(max_memory=8 * DEEP.size + 4 * len(data))).shape
