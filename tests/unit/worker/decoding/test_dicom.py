"""DICOM files are decoded: grey scale, polarity, transfer syntaxes, and headers that contradict the pixels."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from dicom_films import DEEP, FILM, dataset, dicom_file, table
from PIL import Image
from pydicom import Dataset, Sequence, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from worker.decoding import decode
from worker.decoding.limits import DEFAULT_LIMITS, Limits
from worker.errors import Reason, RejectedImage


def reason_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Reason:
    with pytest.raises(RejectedImage) as rejected:
        decode(data, limits)
    return rejected.value.reason


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("pixels", [FILM, DEEP])
def test_an_uncompressed_film_keeps_its_greys_in_every_byte_order(syntax, pixels):
    """8-bit values stay as they are, and 12-bit values pass a window over their whole range."""
    options = {} if pixels is FILM else {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}

    film = decode(dicom_file(pixels, syntax=syntax, **options))

    assert np.abs(FILM.astype(int) - film).max() <= (0 if pixels is FILM else 1)


def test_rle_and_jpeg_give_the_same_film():
    """Compression does not change the film."""
    rle = dataset(DEEP, bits=12, WindowCenter=2048, WindowWidth=4096)
    rle.compress(RLELossless, generate_instance_uid=False)
    jpeg = io.BytesIO()
    Image.fromarray(FILM).save(jpeg, "JPEG", quality=98)
    baseline = dicom_file(syntax=JPEGBaseline8Bit, PixelData=encapsulate([jpeg.getvalue()]))
    buffer = io.BytesIO()
    dcmwrite(buffer, rle, enforce_file_format=True)

    assert np.abs(FILM.astype(int) - decode(buffer.getvalue())).max() <= 1
    assert np.abs(FILM.astype(int) - decode(baseline)).mean() < 1


@pytest.mark.parametrize(
    "changes", [{}, {"WindowCenter": 1000, "WindowWidth": 900}, {"PresentationLUTShape": "INVERSE"}]
)
def test_the_negative_of_a_film_stored_as_monochrome1_is_the_same_array(changes):
    """Polarity is applied last, before rounding."""
    mirrored = {"WindowCenter": 4096 - 1000} if "WindowCenter" in changes else {}
    film = decode(dicom_file(DEEP, bits=12, **changes))

    twin = decode(dicom_file(4095 - DEEP, bits=12, PhotometricInterpretation="MONOCHROME1", **{**changes, **mirrored}))

    assert np.array_equal(film, twin)


def test_modality_comes_before_the_window():
    """The window is in rescaled units, and the first of several windows is used."""
    plain = decode(dicom_file(DEEP, bits=12, WindowCenter=2048, WindowWidth=4096))

    rescaled = decode(
        dicom_file(
            DEEP, bits=12, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=[3095.5, 5], WindowWidth=[8191, 9]
        )
    )

    assert np.abs(plain.astype(int) - rescaled).max() <= 1


def test_a_voi_table_rules_over_a_window_and_goes_on_evenly_at_its_ends():
    """Values below the first entry get the first output, values above the last the last."""
    lut = [table(range(0, 256, 2), first=64)]

    film = decode(dicom_file(VOILUTSequence=Sequence(lut), WindowCenter=128, WindowWidth=256))

    assert np.array_equal(np.rint(np.clip(FILM.astype(int) - 64, 0, 127) * 2 * 255 / 254).astype(np.uint8), film)


def test_a_signed_film_is_the_same_film():
    """The values are in two's complement, with the sign in the highest stored bit and rubbish above it."""
    signed = ((DEEP.astype(np.int32) - 2048) & 0x0FFF | 0x3000).astype(np.uint16)

    film = decode(dicom_file(signed, bits=12, signed=1, WindowCenter=0, WindowWidth=4096))

    assert np.abs(FILM.astype(int) - film).max() <= 1


def test_without_a_window_the_films_own_range_is_shown_without_its_padding():
    """A narrow range is not a black film."""
    padded = (DEEP // 4 + 300).astype(np.uint16)
    padded[:20] = 0

    film = decode(dicom_file(padded, bits=16, PixelPaddingValue=0))

    assert (0, 255) == (film[20:].min(), film[20:].max())
    assert np.corrcoef(film[20:].ravel(), FILM[20:].ravel())[0, 1] > 0.999


def test_a_window_that_hides_the_whole_film_is_not_believed():
    """Such a window was meant for other units."""
    assert 255 == np.ptp(decode(dicom_file(DEEP, bits=12, WindowCenter=90000, WindowWidth=10)))


def code(meaning) -> Sequence:
    item = Dataset()
    item.CodeMeaning = meaning
    return Sequence([item])


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (Reason.WRONG_MODALITY, {"Modality": "CT"}),
        (Reason.WRONG_MODALITY, {"Modality": None}),
        (Reason.WRONG_BODY_PART, {"BodyPartExamined": "HAND"}),
        (Reason.NOT_FRONTAL, {"ViewPosition": "LL"}),
        (Reason.NOT_FRONTAL, {"ViewCodeSequence": code("left lateral")}),
        (Reason.SEVERAL_FRAMES, {"NumberOfFrames": 2}),
        (Reason.COLOUR, {"PhotometricInterpretation": "PALETTE COLOR"}),
        (Reason.COLOUR, {"SamplesPerPixel": 3}),
        (Reason.CORRUPT, {"PixelData": FILM.tobytes() + FILM.tobytes()}),
        (Reason.CORRUPT, {"PixelData": FILM.tobytes()[:-2]}),
        (Reason.CORRUPT, {"PixelData": None}),
        (Reason.CORRUPT, {"BitsStored": 0}),
        (Reason.CORRUPT, {"BitsStored": 12}),
        (Reason.CORRUPT, {"BitsAllocated": 16}),
        (Reason.CORRUPT, {"Rows": None}),
        (Reason.CORRUPT, {"PixelRepresentation": None}),
        (Reason.CORRUPT, {"RescaleSlope": "NaN", "RescaleIntercept": 0}),
        (Reason.TOO_MANY_PIXELS, {"Rows": 65535, "Columns": 65535}),
        (Reason.TOO_SMALL, {"Rows": 10}),
    ],
)
def test_what_is_no_frontal_chest_film_or_contradicts_itself_is_rejected_with_its_reason(reason, changes):
    """Each kind has a reason of its own, and no decoder runs when the header is enough."""
    assert reason == reason_of(dicom_file(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "PORT CHEST"},
        {"BodyPartExamined": ""},
        {"ViewPosition": "AP"},
        {"ViewCodeSequence": code("postero-anterior")},
        {"NumberOfFrames": 1},
        {"HighBit": None},
        {"WindowCenter": 100, "WindowWidth": 0},
    ],
)
def test_odd_and_missing_attributes_that_do_no_harm_are_no_reason(changes):
    """A missing statement does not reject a film."""
    assert FILM.shape == decode(dicom_file(**changes)).shape


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.102", "1.2.3"])
def test_a_transfer_syntax_that_is_not_read_says_so(syntax):
    """This holds for video and for private syntaxes."""
    film = dataset(syntax=JPEGBaseline8Bit, PixelData=encapsulate([b"nothing "]))
    film.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, film, enforce_file_format=True, implicit_vr=False, little_endian=True)

    assert Reason.UNSUPPORTED_TRANSFER_SYNTAX == reason_of(buffer.getvalue())


def test_a_compressed_picture_of_another_size_than_stated_is_not_decoded():
    """The header of the stream is read first, so a bomb inside is not decoded."""
    jpeg = io.BytesIO()
    Image.new("L", (5000, 5000)).save(jpeg, "JPEG")

    assert Reason.CORRUPT == reason_of(dicom_file(syntax=JPEGBaseline8Bit, PixelData=encapsulate([jpeg.getvalue()])))


def bomb(head: bytes, body: bytes) -> bytes:
    return head[: head.index(b"\x08\x00\x16\x00")] + body


def test_bombs_cost_their_rejection_and_little_memory():
    """The bombs are 100 MiB of zeros, deflated, a million empty items, and a million numbers."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = deflater.compress(b"\0" * 2**20 * 100) + deflater.flush()
    head = dicom_file(syntax=DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + int.from_bytes(head[140:144], "little")
    items = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1_000_000
    numbers = b"\x28\x00\x50\x10UN\0\0" + (2_000_000).to_bytes(4, "little") + b"1\\" * 1_000_000
    plain = dicom_file()
    tracemalloc.start()

    reasons = [
        reason_of(head[:start] + zeros, Limits(max_bytes=2**24)),
        reason_of(bomb(plain, items)),
        reason_of(bomb(plain, numbers)),
    ]

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [Reason.TOO_MANY_BYTES, Reason.CORRUPT, Reason.CORRUPT] == reasons
    assert peak < 150 * 2**20


def test_damage_anywhere_gives_a_film_or_a_rejection():
    """Hundreds of damaged files raise nothing but RejectedImage."""
    jpeg = io.BytesIO()
    Image.fromarray(FILM[:64, :64]).save(jpeg, "JPEG")
    small = FILM[:64, :64]
    files = [
        dicom_file(small, WindowCenter=99, WindowWidth=200, VOILUTSequence=Sequence([table(range(256))])),
        dicom_file(small, syntax=JPEGBaseline8Bit, PixelData=encapsulate([jpeg.getvalue()])),
        dicom_file(small, syntax=DeflatedExplicitVRLittleEndian),
    ]
    random = np.random.default_rng(0)
    for number in range(900):
        data = bytearray(files[number % 3])
        for position in random.integers(128, min(len(data), 128 + int(random.integers(20, len(data)))), 4):
            data[position] = random.integers(256)
        try:
            film = decode(bytes(data[: random.integers(len(data) // 2, len(data) + 1)] if number % 2 else data))
        except RejectedImage:
            continue
        assert np.uint8 == film.dtype
