"""`thoraq`: messages of commands whose libraries are not installed, and commands that need few libraries."""

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from worker.films import phantoms

#: Top-level modules that the extras `worker` and `trainer` bring and `dashboard` does not.
HEAVY = ("tensorflow", "keras", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "pydicom")
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if any(f"{name}.".startswith(f"{blocked}.") for blocked in BLOCKED):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(code, blocked):
    """Run Python code in a process of its own, in which modules are missing."""
    code = f"BLOCKED = {blocked!r}\n{BLOCK}\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def thoraq(*arguments, blocked):
    """Run a `thoraq` command to its end in a process in which modules are missing."""
    return run(f"sys.argv = ['thoraq', *{arguments!r}]\nfrom worker.cli import main\nmain()", blocked)


@pytest.mark.parametrize(
    ("command", "extra", "blocked"),
    [
        ("train", "trainer", ("tensorflow",)),
        ("train", "trainer", ("sklearn",)),
        ("score", "worker", ("numpy",)),
        ("dashboard", "dashboard", ("flask",)),
    ],
)
def test_a_command_whose_libraries_are_missing_says_which_extra_it_needs(command, extra, blocked, tmp_path, data_dir):
    """The message is one line, the exit code is 1, and there is no traceback."""
    phantoms.write_dataset(tmp_path / "films", per_finding=2, seed=1)
    arguments = {
        "train": ["--data", str(tmp_path / "films"), "--network", "phantom"],
        "score": [str(tmp_path / "films")],
        "dashboard": [],
    }[command]

    done = thoraq(command, *arguments, blocked=blocked)

    # Before it, there may be a progress bar.
    assert f"thoraq: {command} needs pip install thoraq[{extra}]" == done.stderr.splitlines()[-1]
    assert (1, False) == (done.returncode, "Traceback" in done.stderr)


@pytest.mark.parametrize("arguments", [("worker",), ("trainer",)])
def test_a_process_whose_libraries_are_missing_does_not_start(arguments, data_dir, monkeypatch):
    """Its child would die again and again."""
    monkeypatch.setenv("THORAQ_BROKER_URL", "redis://127.0.0.1:1/0")

    done = thoraq(*arguments, blocked=HEAVY)

    assert (1, True) == (done.returncode, done.stderr.startswith(f"thoraq: {arguments[0]} needs pip install thoraq["))


def test_a_module_of_our_own_that_is_missing_is_a_fault(data_dir):
    """Installing an extra would not help."""
    done = thoraq("score", "film.png", blocked=("worker.films",))

    assert "ModuleNotFoundError: No module named 'worker.films'" in done.stderr
    assert "needs pip install" not in done.stderr


def test_commands_without_an_extra_and_those_of_the_dashboard_need_no_heavy_library(data_dir):
    """A dashboard's host can submit, list, and accept messages."""
    tables = {name: entry for point in entry_points(group="thoraq.commands") for name, entry in point.load().items()}
    light = sorted(name for name, entry in tables.items() if entry.extra in {None, "dashboard"})
    code = f"""
from worker.cli import InstalledCommands
import worker.tasks.intake
for name in {light!r}:
    assert InstalledCommands().get_command(None, name)
"""

    done = run(code, HEAVY)

    assert (0, "") == (done.returncode, done.stderr)
    assert {"submit", "status", "results", "db", "models", "user", "dashboard", "beat", "intake"} <= set(light)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("CALLBACKS", '{"ris": {"url": "http://hunter2.example", "secret": "whsec_%s"}}' % ("aHVu" * 8), "https: ris"),
        ("CALLBACKS", '{"ris": {"url": "https://ris.example", "secret": "hunter2"}}', "callbacks: "),
        ("IMAGE_ROOTS", "/hunter2", "image_roots"),
        ("DATABASE_URL", "mysql://user:hunter2@host/thoraq", "mysql is not supported"),
        ("BATCH_SIZE", "hunter2", "batch_size: "),
        ("TIMEZONE", "Europe/Atlantis", "timezone: "),
        ("TIMEZONE", "Europe", "timezone: "),
        ("TIMEZONE", "", "timezone: "),
    ],
)
def test_an_invalid_setting_is_one_line_without_its_value(variable, value, says, data_dir, monkeypatch):
    """The value may have a password, and the output of a process is written to a log."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    monkeypatch.setenv(f"THORAQ_{variable}", value)

    done = thoraq("status", blocked=())

    assert (2, 1, True) == (done.returncode, done.stderr.count("\n"), says in done.stderr)
    assert done.stderr.startswith("thoraq: a setting is invalid: ")
    assert "hunter2" not in done.stderr


def test_every_extra_that_a_command_names_exists():
    """`pip install` would only warn about one that does not."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    tables = [point.load() for point in entry_points(group="thoraq.commands")]

    named = {entry.extra for table in tables for entry in table.values()} - {None}
    assert {"worker", "trainer", "dashboard", "demo", "hospital"} == named <= set(project["optional-dependencies"])
