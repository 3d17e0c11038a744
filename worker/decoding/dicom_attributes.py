"""Reads each attribute of a DICOM file as a value of one Python type.

pydicom converts an attribute when it is read, to a type that the file names, so any error and any type may come out. An
attribute without which there is no film is damage then. Any other is left out, as if its sender had not written it.
"""

from typing import Any

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from worker.decoding.damage import damage_is_left_out
from worker.errors import Reason, RejectedImage


def text(film: Dataset, keyword: str) -> str:
    """Return an attribute in upper case without the spaces around it, empty where it is missing or unreadable.

    Several values are separated by backslashes, as in the file.
    """
    with damage_is_left_out():
        value = film.get(keyword) or ""
        written = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
        return _as_written(written, film).strip("\0 ").upper()
    return ""


def _as_written(written: str, film: Dataset) -> str:
    """Return a text in its own letters.

    DICOM allows only ASCII in a code string, so pydicom reads one as Latin-1; senders write words of their language.
    """
    try:
        raw = b"" if written.isascii() else written.encode("latin-1")
    except UnicodeEncodeError:
        return written  # pydicom has decoded it.
    try:
        return raw.decode() or written
    except UnicodeDecodeError:
        return decode_bytes(raw, convert_encodings(film.get("SpecificCharacterSet")), set())


def number(film: Dataset, keyword: str) -> float | None:
    """Return the first of an attribute's values, None where none can be read; it may be infinite or NaN.

    Some senders write a decimal comma for the point that DICOM asks for.
    """
    with damage_is_left_out():
        return _first(film.get(keyword))
    with damage_is_left_out():
        return _first(film.get_item(keyword).value)
    return None


def _first(value: Any) -> float | None:  # noqa: ANN401 - whatever pydicom makes of a file
    if isinstance(value, bytes):
        value = value.decode("ascii")
    if isinstance(value, str):
        value = value.split("\\")[0].strip("\0 ").replace(",", ".")
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value is None or value == "" else float(value)


def integer(film: Dataset, keyword: str) -> int | None:
    """Return a whole number, None where the attribute is missing or unreadable."""
    value = number(film, keyword)
    return int(value) if value is not None and value.is_integer() else None


def required_integer(film: Dataset, keyword: str) -> int:
    """Return a whole number.

    Raises:
        RejectedImage: corrupt; the attribute is missing or is no whole number.
    """
    value = integer(film, keyword)
    if value is None:
        raise RejectedImage(Reason.CORRUPT, f"the attribute {keyword} is missing or is no whole number")
    return value


def items(film: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none where the attribute is missing or unreadable."""
    with damage_is_left_out():
        sequence = film.get(keyword) or []
        if not isinstance(sequence, Sequence | list):
            raise TypeError("not a sequence")
        return list(sequence)
    return []


def raw_element(film: Dataset, keyword: str) -> RawDataElement | None:
    """Return an attribute as its bytes in the file, None where it is missing or unreadable."""
    with damage_is_left_out():
        element = film.get_item(keyword) if keyword in film else None
        return element if isinstance(element, RawDataElement) and isinstance(element.value, bytes) else None
    return None
