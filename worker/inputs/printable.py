"""The characters that a text from outside may have, wherever it is stored, printed or written.

Controls (C0 and C1) are excluded, because databases, logs and terminals each handle them differently. So are the
characters that change the order of letters (Unicode UAX #9), because they can make a name look like another.
"""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

_EXCLUDED = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
#: Matches a text without them; JSON Schema can use it, too.
PATTERN = f"^[^{_EXCLUDED}]*$"
#: Lone surrogates are replaced, too: they stand for bytes of a file name that are not UTF-8.
_REPLACED = re.compile(f"[{_EXCLUDED}\\ud800-\\udfff]")
#: A spreadsheet takes a text that begins with one of these for a formula (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str) -> str:
    """Return a text with every excluded character replaced by `?`."""
    return _REPLACED.sub("?", text)


class SpreadsheetWriter:
    """Writes CSV without controls and formulas, so that a cell is what it looks like. Every CSV is written with it."""

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
