"""DICOM films for tests: made in memory, as a sender would store them."""

import io

import numpy as np
from pydicom import Dataset, Sequence, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from worker.films.phantoms import draw

FILM = draw("No-Findings", seed=1)
DEEP = FILM.astype(np.uint16) * 16 + 7


def dataset(pixels=FILM, *, bits=8, signed=0, syntax=ExplicitVRLittleEndian, **changes) -> Dataset:
    """Return a DX film; a change to None leaves an attribute out."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = "1.2.3"
    film.Modality, film.SamplesPerPixel, film.PhotometricInterpretation = "DX", 1, "MONOCHROME2"
    film.Rows, film.Columns = pixels.shape[-2:]
    film.BitsAllocated, film.BitsStored, film.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    film.PixelRepresentation = signed
    film.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    film["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    for name, value in changes.items():
        setattr(film, name, value)
        if value is None:
            delattr(film, name)
    return film


def dicom_file(pixels=FILM, **options) -> bytes:
    """Return the bytes of a DX film; the options are those of `dataset`."""
    film = dataset(pixels, **options)
    buffer = io.BytesIO()
    dcmwrite(buffer, film, enforce_file_format=True)
    return buffer.getvalue()


def table(data, first=0, bits=8, *, kind="US", entries=None) -> Dataset:
    """Return an item with a table of grey values; bytes are written as they are."""
    item = Dataset()
    item.add_new("LUTDescriptor", kind, [len(data) if entries is None else entries, first, bits])
    item.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data if isinstance(data, bytes) else list(data))
    return item


def code(value="", meaning="", scheme="SCT") -> Sequence:
    """Return a sequence of one code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def rewritten(data: bytes, before: bytes, after: bytes) -> bytes:
    """Return a file in which pydicom would not write what a sender did; both have the same length."""
    assert len(before) == len(after)
    assert data.count(before) == 1
    return data.replace(before, after)
