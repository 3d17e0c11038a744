"""Tables, windows, padding and ranges of DICOM films whose senders write them in their own ways."""

import numpy as np
import pytest
from dicom_films import DEEP, FILM, dicom_file, rewritten, table

from worker.decoding import decode
from worker.errors import Reason, RejectedImage

WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096}
INVERTING = range(4095, -1, -1)


def differs(film, expected=FILM) -> float:
    """Return the mean difference of the grey values."""
    return float(np.abs(film.astype(int) - expected).mean())


def reason_of(data: bytes) -> Reason:
    with pytest.raises(RejectedImage) as rejected:
        decode(data)
    return rejected.value.reason


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_a_table_of_8_bits_may_be_packed_in_words(syntax):
    """In words of either byte order the first entry is the lower half."""
    from pydicom.uid import UID

    entries = np.minimum(np.arange(4096) / 16, 255).astype(np.uint8)
    data = entries.tobytes() if UID(syntax).is_little_endian else entries.view("<u2").astype(">u2").tobytes()

    film = decode(dicom_file(DEEP, bits=12, syntax=UID(syntax), VOILUTSequence=[table(data, bits=8, entries=4096)]))

    assert differs(film) < 1


def test_a_table_of_8_bits_may_have_a_word_for_each_entry():
    """The number of bytes tells."""
    assert differs(decode(dicom_file(VOILUTSequence=[table(range(256), bits=8)]))) < 1


@pytest.mark.parametrize("kind", ["US", "SS"])
@pytest.mark.parametrize(
    "film",
    [
        {"bits": 12, "RescaleSlope": 1, "RescaleIntercept": -2048},
        {"pixels": (DEEP.astype(np.int32) - 2048).astype(np.int16).view(np.uint16), "bits": 16, "signed": 1},
    ],
    ids=["rescaled", "signed"],
)
def test_the_first_input_of_a_table_has_the_sign_of_what_is_looked_up(film, kind):
    """Many senders write it as an unsigned number."""
    options = {"pixels": DEEP} | film
    lut = table(INVERTING, first=-2048 if kind == "SS" else 65536 - 2048, bits=12, kind=kind)

    assert differs(decode(dicom_file(**options, VOILUTSequence=[lut])), 255 - FILM) < 1


def test_a_high_first_input_of_an_unsigned_film_stays_high():
    """A film of 16 bits may begin at 40,000."""
    high = (DEEP + 40000).astype(np.uint16)
    lut = table(INVERTING, first=40000, bits=12)

    assert differs(decode(dicom_file(high, bits=16, VOILUTSequence=[lut])), 255 - FILM) < 1
    assert (
        differs(
            decode(dicom_file(high, bits=16, VOILUTSequence=[table(INVERTING, 40000 - 65536, kind="SS")])), 255 - FILM
        )
        < 1
    )


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_shorter_than_it_states_is_damage(sequence):
    """Its last entry stands for nothing."""
    short = table(range(2048), bits=12, entries=4096)

    assert Reason.CORRUPT == reason_of(dicom_file(DEEP, bits=12, **WHOLE, **{sequence: [short]}))


def test_an_empty_table_of_display_is_no_table():
    """The window beside it counts."""
    plain = decode(dicom_file(DEEP, bits=12, **WHOLE))

    assert np.array_equal(plain, decode(dicom_file(DEEP, bits=12, **WHOLE, VOILUTSequence=[table(b"", entries=0)])))


def test_an_empty_table_of_stored_values_is_damage():
    """What the values mean is unknown without it."""
    empty = {"ModalityLUTSequence": [table(b"", entries=0)]}

    assert Reason.CORRUPT == reason_of(dicom_file(DEEP, bits=12, **WHOLE, **empty))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"2048.5\\9.0 ", b"2048,5\\9,0 "),
        (b"2048.5\\9.0 ", b"2048.5\\n.a."),
        (b"2048.5\\9.0 ", b" 2048,5 \\9 "),
    ],
)  # fmt: skip
def test_a_decimal_comma_is_read(before, after):
    """And a second window that makes no sense does not matter."""
    data = dicom_file(DEEP, bits=12, WindowCenter=["2048.5", "9.0"], WindowWidth=["4096", "9.0"])
    before = before.rstrip()
    data = rewritten(data, before, after[: len(before)])

    assert differs(decode(data)) < 1


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"WindowCenter": "1234", "WindowWidth": "4096"}, b"1234", b"n.a."),
        ({"RescaleSlope": "1234", "RescaleIntercept": "0"}, b"1234", b"n.a."),
        ({"PixelPaddingValue": 7}, b"\x28\x00\x20\x01US\x02\x00\x07\x00", b"\x28\x00\x20\x01DS\x02\x00??"),
    ],
)
def test_an_optional_number_that_cannot_be_read_is_left_out(changes, before, after):
    """The film is shown as if its sender had not written it."""
    film = decode(rewritten(dicom_file(DEEP, bits=12, **changes), before, after))

    assert np.array_equal(decode(dicom_file(DEEP, bits=12)), film)


def test_a_window_of_an_unknown_function_is_linear():
    """As it is where no function is stated."""
    assert np.array_equal(
        decode(dicom_file(DEEP, bits=12, **WHOLE)), decode(dicom_file(DEEP, bits=12, **WHOLE, VOILUTFunction="GAMMA"))
    )


def with_pixels(pixels, value, count):
    """Return a film of which the first pixels of a row have another value."""
    changed = pixels.copy()
    changed[5, 5 : 5 + count] = value
    return changed


@pytest.mark.parametrize("bits", [15, 16])
@pytest.mark.parametrize("count", [1, 200])
def test_the_range_of_a_film_is_not_that_of_a_dead_pixel_or_a_marker(bits, count):
    """Without a window, a marker at the end of the scale would leave the film black."""
    hot = with_pixels(DEEP, 2**bits - 1, count)

    film = decode(dicom_file(hot, bits=16))

    untouched = hot == DEEP
    assert np.array_equal(decode(dicom_file(DEEP, bits=16))[untouched], film[untouched])
    assert 255 == film[5, 5]


def test_a_dead_pixel_at_the_lower_end_is_no_range_either():
    """Here of a film far above it."""
    cold = with_pixels(DEEP + 50000, 0, 3)

    film = decode(dicom_file(cold, bits=16))

    assert np.array_equal(decode(dicom_file(DEEP, bits=16))[6:], film[6:])
    assert 0 == film[5, 5]


def test_a_range_without_outliers_is_the_films_own():
    """Every value between the least and the greatest counts."""
    assert (0, 255) == (decode(dicom_file(DEEP, bits=16)).min(), decode(dicom_file(DEEP, bits=16)).max())


@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [0, 4095, 65535])
def test_padding_beside_the_film_is_black_and_no_part_of_its_range(polarity, value):
    """At whichever end of the scale it lies, also with bits that are not stored."""
    inverted = polarity == "MONOCHROME1"
    narrow = 1500 + DEEP // 8
    padded = (5500 - 1500 - narrow if inverted else narrow).astype(np.uint16)
    expected = decode(dicom_file(narrow.astype(np.uint16)[:, 40:], bits=12))
    padded[:, :40] = value

    film = decode(dicom_file(padded, bits=12, PhotometricInterpretation=polarity, PixelPaddingValue=value))

    assert 0 == film[:, :40].max()
    assert differs(film[:, 40:], expected) < 1


def test_a_range_of_padding_is_padding():
    """From the value to its limit, whichever is less."""
    padded = (1500 + DEEP // 8).astype(np.uint16)
    padded[:, :20], padded[:, 20:40] = 4095, 4000
    expected = decode(dicom_file(padded[:, 40:].copy(), bits=12))

    for ends in ((4095, 3900), (3900, 4095)):
        film = decode(dicom_file(padded, bits=12, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1]))
        assert 0 == film[:, :40].max()
        assert differs(film[:, 40:], expected) < 1


@pytest.mark.parametrize("stated", [-2048, 65536 - 2048])
def test_padding_of_a_signed_film_is_signed(stated):
    """Written as either type."""
    signed = (DEEP.astype(np.int32) // 8 + 100).astype(np.int16)
    expected = decode(dicom_file(signed.view(np.uint16)[:, 40:].copy(), bits=16, signed=1))
    signed[:, :40] = -2048
    data = dicom_file(signed.view(np.uint16), bits=16, signed=1, PixelPaddingValue=-2048)
    if stated > 0:
        data = rewritten(data, b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US")

    film = decode(data)

    assert 0 == film[:, :40].max()
    assert differs(film[:, 40:], expected) < 1


def test_the_value_of_padding_inside_the_film_is_a_grey_value():
    """The brightest bone of a film may have it; only what leads to the edge lies beside the film."""
    film = (4095 - DEEP).astype(np.uint16)
    film[100:110, 100:110] = 0

    shown = decode(dicom_file(film, bits=12, **WHOLE, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0))

    assert 254 <= shown[100:110, 100:110].min()
