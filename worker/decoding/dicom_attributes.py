"""Reads each attribute of a DICOM file as a value of one Python type, or rejects the file.

pydicom converts an attribute when it is read, to a type that the file names, so any error and any type may come out.
"""

import contextlib

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from worker.decoding.damage import damage_is_rejected
from worker.errors import Reason, RejectedImage


def text(film: Dataset, keyword: str) -> str:
    """Return an attribute in upper case without the spaces around it, empty where it is missing.

    Raises:
        RejectedImage: corrupt.
    """
    with _reading(keyword):
        return str(film.get(keyword) or "").strip().upper()


def integer(film: Dataset, keyword: str) -> int | None:
    """Return a whole number, None where the attribute is missing or empty.

    Raises:
        RejectedImage: corrupt.
    """
    with _reading(keyword):
        value = film.get(keyword)
        if value is None:
            return None
        if isinstance(value, str) or int(value) != value:
            raise ValueError("not a whole number")
        return int(value)


def required_integer(film: Dataset, keyword: str) -> int:
    """Return a whole number.

    Raises:
        RejectedImage: corrupt, also where it is missing.
    """
    value = integer(film, keyword)
    if value is None:
        raise RejectedImage(Reason.CORRUPT, f"the attribute {keyword} is missing")
    return value


def first_number(film: Dataset, keyword: str) -> float | None:
    """Return the first of an attribute's values, None where there is none; it may be infinite or NaN.

    Raises:
        RejectedImage: corrupt.
    """
    with _reading(keyword):
        value = film.get(keyword)
        if isinstance(value, MultiValue):
            value = value[0] if value else None
        return None if value is None or value == "" else float(value)


def items(film: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none where the attribute is missing or empty.

    Raises:
        RejectedImage: corrupt.
    """
    with _reading(keyword):
        sequence = film.get(keyword) or []
        if not isinstance(sequence, Sequence | list):
            raise TypeError("not a sequence")
        return list(sequence)


def _reading(keyword: str) -> contextlib.AbstractContextManager[None]:
    return damage_is_rejected(f"the attribute {keyword} cannot be read")
