"""The archive and the named roots."""

import os

import pytest

from worker.errors import Reason, RejectedImage, TryAgainLater
from worker.films import archive


@pytest.fixture
def roots(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "film.png").write_bytes(b"film")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return {"images": tmp_path / "images"}


def read(roots, path, root="images", max_bytes=100):
    return archive.read(root, path, roots, max_bytes)


def test_a_file_below_its_root_is_read(roots):
    """The plain case."""
    assert read(roots, "film.png") == b"film"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "", "film.png\0.txt", "..\\secret.txt", "x" * 2000, ".."],
)
def test_no_reference_leaves_its_root(roots, path):
    """Traversal, absolute paths and odd characters are rejected before the disk is read."""
    with pytest.raises(RejectedImage) as rejected:
        read(roots, path)

    assert Reason.OUTSIDE_ROOT == rejected.value.reason


def test_a_link_out_of_the_root_is_refused(roots):
    """A link may point to a file inside its root, not outside it."""
    (roots["images"] / "out").symlink_to("../secret.txt")
    (roots["images"] / "in").symlink_to("film.png")

    with pytest.raises(RejectedImage) as rejected:
        read(roots, "out")

    assert Reason.OUTSIDE_ROOT == rejected.value.reason
    assert read(roots, "in") == b"film"


@pytest.mark.parametrize(
    ("reason", "path"),
    [
        (Reason.NOT_FOUND, "gone.png"),
        (Reason.NOT_FOUND, "film.png/x"),
        (Reason.NOT_FOUND, "loop"),
        (Reason.NOT_READABLE, "pipe"),
    ],
)
def test_what_is_no_file_is_rejected(roots, reason, path):
    """A process that opens a pipe would hang."""
    os.mkfifo(roots["images"] / "pipe")
    (roots["images"] / "loop").symlink_to("loop")

    with pytest.raises(RejectedImage) as rejected:
        read(roots, path)

    assert reason == rejected.value.reason


def test_size_is_checked_before_reading(roots):
    """A file over the limit is not read into memory."""
    with pytest.raises(RejectedImage) as rejected:
        read(roots, "film.png", max_bytes=3)

    assert Reason.TOO_MANY_BYTES == rejected.value.reason


def test_a_root_that_is_not_mounted_is_trouble_outside(roots, tmp_path):
    """The film is not to blame for a missing mount."""
    (tmp_path / "mount-point").mkdir()

    with pytest.raises(TryAgainLater):
        read({"images": tmp_path / "unmounted"}, "film.png")
    with pytest.raises(TryAgainLater, match="is it mounted"):
        read({"images": tmp_path / "mount-point"}, "film.png")


@pytest.mark.parametrize("swapped", ["ward", "ward/film.png"])
def test_a_link_that_is_put_into_the_path_during_the_read_leads_nowhere(roots, tmp_path, monkeypatch, swapped):
    """Whoever may write below the root may not read outside it through the worker."""
    ward = roots["images"] / "ward"
    ward.mkdir()
    (ward / "film.png").write_bytes(b"film")
    (tmp_path / "film.png").write_bytes(b"secret")
    opened = archive._opened

    def swap_and_open(base, target):
        path = roots["images"] / swapped
        path.rename(tmp_path / "away")
        path.symlink_to(tmp_path if swapped == "ward" else tmp_path / "film.png")
        return opened(base, target)

    monkeypatch.setattr(archive, "_opened", swap_and_open)

    with pytest.raises(RejectedImage) as rejected:
        read(roots, "ward/film.png")
    assert Reason.OUTSIDE_ROOT == rejected.value.reason


@pytest.mark.parametrize("put_there", ["pipe", "large file"])
def test_what_takes_the_place_of_the_file_during_the_read_is_checked(roots, monkeypatch, put_there):
    """Kind and size are those of the open file, whatever the path named before; a pipe is not waited for."""
    film, opened = roots["images"] / "film.png", archive._opened

    def swap_and_open(base, target):
        film.unlink()
        if put_there == "pipe":
            os.mkfifo(film)
        else:
            (roots["images"] / "large").write_bytes(bytes(1000))
            film.hardlink_to(roots["images"] / "large")
        return opened(base, target)

    monkeypatch.setattr(archive, "_opened", swap_and_open)

    with pytest.raises(RejectedImage) as rejected:
        read(roots, "film.png")
    assert (Reason.NOT_READABLE if put_there == "pipe" else Reason.TOO_MANY_BYTES) == rejected.value.reason


@pytest.mark.parametrize("written", [b"other film", b"FILM"])
def test_a_file_that_is_written_during_the_read_waits(roots, monkeypatch, written):
    """Half of one film and half of another are no film."""
    film, opened = roots["images"] / "film.png", archive._opened

    def open_then_write(base, target):
        descriptor = opened(base, target)
        looked_at = archive.os.fstat

        def look_then_write(number):
            status = looked_at(number)
            monkeypatch.setattr(archive.os, "fstat", looked_at)
            film.write_bytes(written)
            os.utime(film, ns=(0, status.st_mtime_ns + 1))
            return status

        monkeypatch.setattr(archive.os, "fstat", look_then_write)
        return descriptor

    monkeypatch.setattr(archive, "_opened", open_then_write)

    with pytest.raises(TryAgainLater, match="was written"):
        read(roots, "film.png")
    assert written == read_plainly(roots, monkeypatch, opened)


def read_plainly(roots, monkeypatch, opened):
    monkeypatch.setattr(archive, "_opened", opened)
    return read(roots, "film.png")


def test_a_folder_that_may_be_entered_and_not_listed_is_entered(roots):
    """It need not be listed to open a file in it."""
    (roots["images"] / "ward").mkdir()
    (roots["images"] / "ward" / "film.png").write_bytes(b"ward")
    (roots["images"] / "ward").chmod(0o100)

    assert b"ward" == read(roots, "ward/film.png")


def test_equal_bytes_are_stored_once(tmp_path):
    """The archive is addressed by content and leaves no temporary files."""
    first = archive.put([b"film"], tmp_path)
    second = archive.put([b"film"], tmp_path)

    assert first == second
    assert [tmp_path / first[0]] == [path for path in tmp_path.rglob("*") if path.is_file()]
