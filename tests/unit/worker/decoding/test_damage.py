"""The broad `except` is around third-party parsers and decoders only: their errors reject the film, others do not."""

import io
import struct
import zlib

import numpy as np
import pytest
from dicom_films import DEEP, FILM, dicom_file, table
from PIL import Image

from worker.decoding import decode
from worker.decoding.damage import damage_is_rejected
from worker.errors import Reason, RejectedImage


@pytest.mark.parametrize(
    "error",
    [
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        ZeroDivisionError,
        struct.error,
        zlib.error,
    ],
)
def test_what_a_third_party_decoder_raises_is_damage(error):
    """The detail quotes nothing of the film."""
    with pytest.raises(RejectedImage) as rejected, damage_is_rejected("the film is damaged"):
        raise error("PATIENT NAME")

    assert (Reason.CORRUPT, "the film is damaged") == (rejected.value.reason, rejected.value.detail)


def test_a_panic_of_a_rust_decoder_is_damage():
    """It derives from BaseException, so that `except Exception` does not catch it."""
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    with pytest.raises(RejectedImage), damage_is_rejected("the film is damaged"):
        raise panic("index out of bounds")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_not_the_films_fault_goes_through(error):
    """The process is interrupted, or the host has no memory left."""
    with pytest.raises(error), damage_is_rejected("the film is damaged"):
        raise error


def test_a_rejection_inside_keeps_its_reason():
    """The film was rejected by a check of ours."""
    with pytest.raises(RejectedImage, match="several frames"), damage_is_rejected("the film is damaged"):
        raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames")


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


#: A function of ours that a test breaks, and a film whose decoding calls it.
OURS = {
    "dicom.displayed": dicom_file(),
    "dicom_display._shown": dicom_file(),
    "dicom_display._modality": dicom_file(RescaleSlope=2, RescaleIntercept=1),
    "dicom_display._voi": dicom_file(),
    "dicom_display._windowed": dicom_file(DEEP, bits=12, WindowCenter=2048, WindowWidth=4096),
    "dicom_display._looked_up": dicom_file(VOILUTSequence=[table(range(256))]),
    "dicom_display._stretched": dicom_file(DEEP, bits=12),
    "dicom_display._is_padding": dicom_file(),
    "dicom_display.looked_up": dicom_file(),
    "dicom_header.check_content": dicom_file(),
    "dicom_content._is_not_frontal": dicom_file(),
    "dicom_grey_scale._voi": dicom_file(),
    "dicom_grey_scale._rescale": dicom_file(),
    "dicom_pixels._check_length": dicom_file(),
    "dicom_pixels.histogram": dicom_file(),
    "grey_range._fences": dicom_file(DEEP, bits=12),
    "pictures._check_header": encoded(Image.fromarray(FILM), "PNG"),
    "pictures._film": encoded(Image.fromarray(FILM), "JPEG"),
    "pictures.narrowed": encoded(Image.fromarray(DEEP), "PNG"),
    "pictures.without_large_texts": encoded(Image.fromarray(FILM), "PNG"),
    "deep_greys._scale": encoded(Image.fromarray(FILM.astype(np.float32)), "TIFF"),
    "colour_check.check_colour": encoded(Image.fromarray(FILM).convert("RGB"), "PNG"),
    "check_not_blank": encoded(Image.fromarray(FILM), "PNG"),
}


@pytest.mark.parametrize("error", [AttributeError, TypeError, KeyError, ValueError, IndexError])
@pytest.mark.parametrize("name", OURS)
def test_a_fault_of_our_own_arithmetic_rejects_no_film(monkeypatch, name, error):
    """The error is raised unchanged, whatever its type is."""
    decode(OURS[name])

    def broken(*_args, **_options):
        raise error("a fault of ours")

    monkeypatch.setattr(f"worker.decoding.{name}", broken)

    with pytest.raises(error, match="a fault of ours"):
        decode(OURS[name])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("dicom.read_dataset", dicom_file()),
        ("dicom_pixels.get_decoder", dicom_file()),
        ("pictures._copied", encoded(Image.fromarray(FILM), "PNG")),
        ("pictures.Image.open", encoded(Image.fromarray(FILM), "PNG")),
    ],
)
def test_a_third_party_decoder_that_fails_rejects_the_film(monkeypatch, name, data):
    """The same errors from a library reject it."""

    def broken(*_args, **_options):
        raise AttributeError("a damaged file")

    monkeypatch.setattr(f"worker.decoding.{name}", broken)

    with pytest.raises(RejectedImage) as rejected:
        decode(data)
    assert Reason.CORRUPT == rejected.value.reason
