"""Files and folders that appear whole or not at all."""

import os
import stat

import pytest

from worker.storage import atomic_files


@pytest.fixture
def flushed(monkeypatch):
    """The names of flushed files and folders in order, with `rename` for each renaming."""
    names, flush, replace, rename = [], atomic_files._flush, os.replace, os.rename

    def record_rename(call, source, target):
        names.append("rename")
        call(source, target)

    monkeypatch.setattr(atomic_files, "_flush", lambda path: (names.append(path.name), flush(path)))
    monkeypatch.setattr(os, "replace", lambda source, target: record_rename(replace, source, target))
    monkeypatch.setattr(os, "rename", lambda source, target: record_rename(rename, source, target))
    return names


def test_a_file_is_flushed_before_it_has_its_name_and_its_folder_after(tmp_path, flushed):
    """A power cut loses neither its content nor its name."""
    atomic_files.write(tmp_path / "new" / "film", b"film")

    assert b"film" == (tmp_path / "new" / "film").read_bytes()
    assert [tmp_path / "new" / "film"] == list((tmp_path / "new").iterdir())
    staging, *after = flushed
    assert staging.startswith(atomic_files.STAGING)
    assert ["rename", "new"] == after


def test_a_file_that_can_be_made_again_is_not_flushed(tmp_path, flushed):
    """Waiting for the disk would take too long for the preview of every film."""
    with atomic_files.replacing(tmp_path / "preview", durable=False) as staging:
        staging.write_bytes(b"preview")

    assert b"preview" == (tmp_path / "preview").read_bytes()
    assert ["rename"] == flushed


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    """Nobody reads half of the new one."""
    (tmp_path / "film").write_bytes(b"old")

    def write_half():
        with atomic_files.replacing(tmp_path / "film") as staging:
            staging.write_bytes(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert b"old" == (tmp_path / "film").read_bytes()
    assert [tmp_path / "film"] == list(tmp_path.iterdir())


def test_a_file_is_its_users_alone(tmp_path):
    """It may be a patient's film."""
    atomic_files.write(tmp_path / "film", b"film")

    assert 0o600 == stat.S_IMODE((tmp_path / "film").stat().st_mode)


def test_a_directory_is_flushed_with_its_files_before_it_has_its_name(tmp_path, flushed):
    """The folder that contains it is flushed afterwards."""
    (tmp_path / "unfinished" / "inner").mkdir(parents=True)
    (tmp_path / "unfinished" / "inner" / "card").write_text("card")

    atomic_files.rename_directory(tmp_path / "unfinished", tmp_path / "model")

    assert "card" == (tmp_path / "model" / "inner" / "card").read_text()
    assert {"card", "inner", "unfinished"} == set(flushed[:3])
    assert ["rename", tmp_path.name] == flushed[3:]


def test_a_directory_with_files_is_not_replaced(tmp_path):
    """An empty one is replaced."""
    for name in ("first", "second", "full", "empty"):
        (tmp_path / name).mkdir()
    for name in ("first", "second", "full"):
        (tmp_path / name / "card").write_text(name)

    with pytest.raises(OSError, match="not empty"):
        atomic_files.rename_directory(tmp_path / "first", tmp_path / "full")
    atomic_files.rename_directory(tmp_path / "second", tmp_path / "empty")

    assert ("full", "second") == tuple((tmp_path / name / "card").read_text() for name in ("full", "empty"))
