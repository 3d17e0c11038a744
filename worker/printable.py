"""The characters that a text from outside may have, wherever it is stored, printed or written.

Left out are controls (C0 and C1), which databases, logs and terminals each handle differently, and the characters that
change the order of the letters around them (Unicode UAX #9), by which a name can look like another name.
"""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

_EXCLUDED = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
#: For JSON Schema, which has it in this notation.
PATTERN = f"^[^{_EXCLUDED}]*$"
#: Lone surrogates stand for bytes of a name that are not UTF-8.
_REPLACED = re.compile(f"[{_EXCLUDED}\\ud800-\\udfff]")
#: A spreadsheet takes a text that begins with one of these for a formula (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str) -> str:
    """Return a text with `?` for every character that it may not have."""
    return _REPLACED.sub("?", text)


class SpreadsheetWriter:
    """Writes CSV whose cells are what they look like: no controls and no formulas. Every CSV is written with it."""

    def __init__(self, file: TextIO) -> None:
        """Write to a text file."""
        self._writer = csv.writer(file)

    def write_row(self, cells: Iterable[object]) -> None:
        """Write a row. Numbers stay numbers; a text that would be a formula gets a quote in front."""
        self._writer.writerow([_cell(cell) for cell in cells])


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
