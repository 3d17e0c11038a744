"""The commit that a run was trained with."""

import subprocess

import pytest

from model_training.report import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that the package takes for its checkout."""
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    return tmp_path


def git(folder, *arguments):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True
    )


def test_outside_a_checkout_there_is_no_commit(checkout):
    """An installed package has none; the folder around it may be another repository."""
    assert provenance.commit() is None


def test_a_changed_file_makes_the_commit_dirty(checkout):
    """The commit alone would not be enough to repeat the run."""
    git(checkout, "init")
    (checkout / "file").write_text("a")
    git(checkout, "add", "file")
    git(checkout, "commit", "-m", "first")
    clean = provenance.commit()
    (checkout / "file").write_text("b")

    assert 40 == len(clean)
    assert f"{clean}-dirty" == provenance.commit()


def test_a_checkout_without_a_commit_has_none(checkout):
    """An error of git does not end the run."""
    (checkout / ".git").mkdir()

    assert provenance.commit() is None
