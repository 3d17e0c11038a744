"""Texts of senders in tables, in CSV, and where they enter."""

import csv
import io
import re
import subprocess
import sys

import pytest

from worker.commands.console import print_table
from worker.inputs.printable import PATTERN, SpreadsheetWriter, printable

CONTROLS = ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff"]


@pytest.mark.parametrize("character", CONTROLS)
def test_controls_and_marks_that_reorder_letters_are_excluded(character):
    """Terminals obey controls, and the marks make one name look like another."""
    assert "film?.png" == printable(f"film{character}.png")
    assert not re.match(PATTERN, f"film{character}.png")


@pytest.mark.parametrize("text", ["+49 Müller Größe.png", "胸部.png", "صدر.png", "o\u0301", "a\u200db"])
def test_texts_of_all_languages_stay(text):
    """Combining marks and joiners belong to the letters."""
    assert text == printable(text)
    assert re.match(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\uff1d1"],
)
def test_no_text_in_a_csv_is_a_formula(text):
    """A film's name comes from its sender; numbers stay numbers."""
    file = io.StringIO()

    SpreadsheetWriter(file).write_row([text, -0.5, None])
    ((cell, number, missing),) = csv.reader(io.StringIO(file.getvalue()))

    assert cell[0] in "'?"
    assert ("-0.5", "") == (number, missing)


@pytest.mark.parametrize("reference", ["[/foo]", "[bold]x[/bold]", "[link=http://x]y[/link]"])
def test_a_table_prints_texts_as_they_are(capsys, reference):
    """A reference must neither end the list for everybody nor change how it looks."""
    print_table("films [/foo]", ("film",), [(reference,), ("a\x1b[31mb",)])

    out = capsys.readouterr().out
    assert reference in out
    assert "a?[31mb" in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_ends_no_command(data_dir, encoding):
    """Characters that it cannot show are escaped."""
    code = "import sys; sys.argv = ['thoraq', 'score', 'gr\u00f6\u4e2d.png']; from worker.cli import main; main()"

    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONIOENCODING": encoding, "THORAQ_DATA_DIR": str(data_dir), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=False,
    )

    assert 2 == answer.returncode
    assert b"Traceback" not in answer.stderr
    assert b"\\u4e2d.png" in answer.stderr
