"""The documents are true, as far as a test can tell: files, tables, folders and commands that they name."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from worker.cli import InstalledCommands
from worker.errors import ScoringError

CHECKOUT = Path(__file__).parent.parent.parent
#: All pages except the changelog, which describes the past.
PAGES = sorted({*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")} - {CHECKOUT / "CHANGELOG.md"})
ARCHITECTURE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
#: A command is between backticks in the text, or on a line of its own in a block.
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINE = re.compile(r"^ *((?:thoraq|make|pytest|python) .+)$", re.MULTILINE)
#: Commands that a test runs to their end on an empty installation; what they need exists there.
RUN = {"models", "networks", "results", "schema", "status", "submit", "score", "cancel", "report"}


def shown(first_word):
    """Return the commands of the documents that begin with a word, each once, as (page, command line)."""
    commands = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command in [*SPAN.findall(text), *LINE.findall(text)]:
            line = " ".join(command.split())
            line = re.sub(r"^([A-Z_]+=\S+ )+", "", line).removeprefix(".venv/bin/")
            if line.startswith(f"{first_word} "):
                commands.setdefault(line, page.relative_to(CHECKOUT))
    return [pytest.param(line, id=f"{page}: {line}") for line, page in sorted(commands.items())]


def folder_of_a_reader(folder):
    """Fill a folder with the files that the documented commands name."""
    from worker.films.phantoms import write_films

    for name in ("cxr6", "external", "films", "other-hospitals", "drawn", "fullsize", "DIR"):
        (folder / name).mkdir()
    write_films(folder / "FOLDER", per_finding=1, seed=1)
    film = next((folder / "FOLDER").rglob("*.png")).read_bytes()
    (folder / "FILE").write_bytes(film)
    (folder / "PATH").write_bytes(film)
    (folder / "predictions.csv").write_text("truth,prediction\na,a\nb,a\n")
    (folder / "worker").symlink_to(CHECKOUT / "worker")
    (folder / "candidate").symlink_to(CHECKOUT / "worker" / "shipped" / "phantoms")


def written(line, **values):
    """Return the arguments that a reader would write for a documented command line."""
    values = {"N": "0", "F": "Pneumonia", "STUDY": "1", "IMAGE_ID": "1", "ID": "0" * 32, "VERSION": "v3", **values}
    words = shlex.split(line)[1:]
    return [values.get(word.removesuffix("..."), word.removesuffix("...")) for word in words]


def command_of(words):
    """Take the command's names off `words`, and return the command and its names."""
    group = InstalledCommands()
    command, names = group, []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        names.append(words.pop(0))
        command = command.get_command(click.Context(group), names[-1])
        assert command is not None, f"there is no `thoraq {' '.join(names)}`"
    return command, names


def test_every_documented_command_exists_and_takes_its_arguments(tmp_path, monkeypatch, data_dir):
    """The real parser reads each command line as it stands in the text."""
    monkeypatch.chdir(tmp_path)
    folder_of_a_reader(tmp_path)
    assert len(shown("thoraq")) > 30
    for case in shown("thoraq"):
        words = written(case.values[0])
        command, names = command_of(words)
        # Without arguments, the text only mentions the command.
        if words and words != ["--help"]:
            try:
                command.make_context(" ".join(names), words)
            except click.ClickException as error:
                pytest.fail(f"{case.id}: {error.format_message()}")


def test_documented_commands_that_need_no_server_do_what_the_text_says(tmp_path, monkeypatch, eager, phantom_model):
    """They are run to their end on a small installation, in which one submission has been scored."""
    monkeypatch.chdir(tmp_path)
    folder_of_a_reader(tmp_path)
    submit = ["submit", "FOLDER", "--source", "S", "--request-id", "R", "--json"]
    acceptance = json.loads(CliRunner().invoke(InstalledCommands(), submit).stdout)
    commands_run = set()
    for case in shown("thoraq"):
        words = written(case.values[0], ID=acceptance["submission_id"], VERSION=phantom_model)
        if words[0] in RUN:
            done = CliRunner().invoke(InstalledCommands(), words)
            # "There is nothing to roll back to" is an answer in one line, too.
            answered = done.exit_code == 0 or isinstance(done.exception, ScoringError) or not words[1:]
            assert answered, f"{case.id}: {done.output} {done.exception!r}"
            commands_run.add(words[0])
    assert commands_run == RUN


@pytest.mark.parametrize("line", shown("make"))
def test_a_documented_target_exists(line):
    """`make` reads it without running it."""
    done = subprocess.run(
        ["make", "-n", "-o", "install", *shlex.split(line)[1:]], cwd=CHECKOUT, capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize(
    "line", [*shown("pytest"), *(p for p in shown("make") if re.search("ARGS=.*-k|T=", p.values[0]))]
)
def test_a_documented_selection_of_tests_finds_tests(line):
    """An example selects at least one test."""
    words = shlex.split(line)
    arguments = words[1:]
    if words[0] == "make":
        values = dict(word.split("=", 1) for word in words[2:])
        arguments = [*shlex.split(values.get("ARGS", "")), *shlex.split(values.get("T", ""))]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_file_that_a_page_names_exists(page):
    """This covers every path in backticks that begins with a folder of the repository."""
    named = set(
        re.findall(
            r"`((?:worker|dashboard|model_training|migrations|tests|docs|benchmarks)/[\w./-]*)`", page.read_text()
        )
    )

    assert set() == {path for path in named if not (CHECKOUT / path).exists()}


def test_the_picture_of_the_tables_has_every_table():
    """It has no other table."""
    import migrations.schema  # noqa: F401
    from worker.database import Base

    picture = re.search(r"erDiagram\n(.*?)```", ARCHITECTURE, re.DOTALL).group(1)
    drawn = set(re.findall(r"^  ([a-z_]+) (?:[|}]|\{)", picture, re.MULTILINE))
    drawn |= set(re.findall(r"(?:o|\||--)[{|] ([a-z_]+) :", picture))

    assert set(Base.metadata.tables) == drawn


def test_the_picture_of_the_states_has_every_state():
    """They are those of the enum."""
    from worker.studies.records import ImageState

    picture = re.search(r"stateDiagram-v2\n(.*?)```", ARCHITECTURE, re.DOTALL).group(1)

    assert set(ImageState) == set(re.findall(r"\b([a-z]+)(?= -->|:)", picture))


def test_the_picture_of_the_packages_has_every_folder_of_worker():
    """Only the demo is left out."""
    picture = re.search(r"## Packages\n(.*?)## Tables", ARCHITECTURE, re.DOTALL).group(1)
    folders = {path.parent.name for path in (CHECKOUT / "worker").glob("*/__init__.py")} - {"demo"}

    assert set() == {folder for folder in folders if not re.search(rf"\b{folder}\b", picture)}


def test_every_decision_has_a_status():
    """A reader of an old decision sees at once whether it is still valid."""
    decisions = sorted((CHECKOUT / "docs" / "decisions").glob("0*.md"))
    status = re.compile(r"^\*\*Status\.\*\* (Accepted|Superseded by \[\d+\]\(\d{4}-[\w-]+\.md\))", re.MULTILINE)

    assert [] == [page.name for page in decisions if not status.search(page.read_text(encoding="utf-8"))]
