"""`make release` checks that every place has the same version, and says which place differs."""

import importlib.util
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
SCRIPT = CHECKOUT / ".ci" / "release.py"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-28\n\n### Added\n- A thing.\n"
COMPOSE = "    image: thoraq:1.2.0\n    image: thoraq:1.2.0-gpu\n    image: redis:7.4\n"
TODAY = date(2026, 11, 28)


@pytest.fixture
def release():
    spec = importlib.util.spec_from_file_location("release", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_version_everywhere_is_no_problem(release):
    assert [] == release.problems("1.2.0", CHANGELOG, COMPOSE, TODAY)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("## [Unreleased]\n", "", "must begin with [Unreleased]"),
        ("## [Unreleased]\n", "## [Unreleased]\n- New.\n", "has lines under [Unreleased]"),
        ("[1.2.0]", "[1.1.0]", "pyproject.toml says 1.2.0, the newest release in CHANGELOG.md is 1.1.0"),
        (" - 2026-11-28", "", "has no date"),
        ("2026-11-28", "28.11.2026", "has no date"),
        ("2026-11-28", "2026-11-29", "a date in the future"),
    ],
)
def test_a_changelog_that_differs_is_named(release, old, new, sentence):
    sentences = release.problems("1.2.0", CHANGELOG.replace(old, new, 1), COMPOSE, TODAY)

    assert 1 == len(sentences)
    assert sentence in sentences[0]


def test_images_of_another_version_are_named(release):
    (sentence,) = release.problems("1.2.0", CHANGELOG, COMPOSE.replace("1.2.0-gpu", "1.1.0-gpu"), TODAY)

    assert "docker-compose.yml" in sentence
    assert "1.1.0" in sentence


@pytest.mark.parametrize(
    ("tagged", "clean", "sentence", "is_well"),
    [
        (None, True, "git tag -a v1.2.0", True),
        (None, False, "Commit your changes", False),
        ("a" * 40, True, "git push origin v1.2.0", True),
        ("b" * 40, True, "needs a new version", False),
    ],
)
def test_the_next_step_depends_on_the_tag(release, tagged, clean, sentence, is_well):
    step, well = release.next_step("1.2.0", tagged, "a" * 40, clean=clean)

    assert sentence in step
    assert is_well is well


def test_it_changes_nothing(tmp_path):
    """A repository of one commit without a tag: the commit and the files stay as they are."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)

    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "All")

    run = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True)

    assert (0, "") == (run.returncode, run.stderr)
    assert "git tag -a v1.2.0" in run.stdout
    assert b"" == git("status", "--porcelain") + git("tag")
    assert b"1\n" == git("rev-list", "--count", "HEAD")


def test_this_repository_names_one_version(release):
    """Lines under [Unreleased] are allowed between two releases."""
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    changelog, compose = ((CHECKOUT / name).read_text() for name in ("CHANGELOG.md", "docker-compose.yml"))

    sentences = release.problems(version, changelog, compose, date.max)

    assert [] == [sentence for sentence in sentences if "under [Unreleased]" not in sentence]
