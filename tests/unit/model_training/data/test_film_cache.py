"""Films are decoded once, and damaged sets in the cache are not used."""

import fcntl
import os
import subprocess
import sys

import numpy as np
import pytest

from model_training.data import decoded_sets, film_cache, films
from model_training.data.class_folders import DatasetError
from model_training.data.dataset import read

SIZE = (64, 64)


@pytest.fixture
def nothing_is_opened(monkeypatch):
    """A function; after it is called, opening a film is an error."""

    def forbid():
        monkeypatch.setattr(films, "_read_one", lambda path, *_: pytest.fail(f"{path} was opened"))

    return forbid


def sets():
    """Return the sets in the cache."""
    return [path for path in decoded_sets.directory().iterdir() if not path.name.startswith(".")]


def replace_in(path, old, new):
    """Replace a part of a text file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def pixels_of(data):
    """Return the pixels of all splits."""
    return np.concatenate([part.pixels for part in data.splits.values()])


def test_the_second_reading_opens_no_film_and_gives_the_same_data(data_dir, drawn, nothing_is_opened):
    """Pixels, names, hashes, reasons and fingerprint come from the cache, and the progress ends at 100 %."""
    (drawn / "test" / "Left" / "note.png").write_text("no image")
    first, progress = read(drawn, SIZE), []

    nothing_is_opened()
    second = read(drawn, SIZE, lambda done, total: progress.append((done, total)))

    assert np.array_equal(pixels_of(first), pixels_of(second))
    assert first.fingerprint == second.fingerprint
    assert first.left_out == second.left_out != ()
    assert [part.names for part in first.splits.values()] == [part.names for part in second.splits.values()]
    assert [(41, 41)] == progress


def test_the_pixels_are_mapped_and_cannot_be_changed(data_dir, drawn):
    """They are not copied into memory, and no epoch can change them for the next."""
    pixels = read(drawn, SIZE).splits["train"].pixels

    assert isinstance(pixels, np.memmap)
    assert not pixels.flags.writeable


def test_a_folder_that_moved_needs_no_decoding(data_dir, drawn, nothing_is_opened):
    """Its content is the same."""
    before = read(drawn, SIZE).fingerprint
    moved = drawn.rename(drawn.parent / "moved")

    nothing_is_opened()

    assert before == read(moved, SIZE).fingerprint


def test_a_replaced_film_is_noticed_even_with_the_same_size_and_time(data_dir, drawn):
    """Two uncompressed films from one archive have equal sizes and times."""
    path = drawn / "train" / "Left" / "01.png"
    before, times = read(drawn, SIZE), path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1  # Inside the last checksum: another content of the same length.
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    after = read(drawn, SIZE)

    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("change", ["size", "preprocessing", "limits"])
def test_everything_that_determines_the_pixels_makes_another_set(data_dir, drawn, monkeypatch, change):
    """A set is never used for another decoder."""
    read(drawn, SIZE)
    if change == "preprocessing":
        monkeypatch.setattr(film_cache, "PREPROCESSING", "another")
    if change == "limits":
        monkeypatch.setattr(film_cache, "limits_in_force", lambda: films.Limits(max_pixels=10**6))

    read(drawn, (48, 48) if change == "size" else SIZE)

    assert 2 == len(sets())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "films.npy").write_bytes((folder / "films.npy").read_bytes()[:-1]),
        lambda folder: (folder / "films.npy").write_bytes((folder / "films.npy").read_bytes()[:-1] + b"\0"),
        lambda folder: (folder / "films.npy").unlink(),
        lambda folder: (folder / "index.json").write_text("{"),
        lambda folder: (folder / "index.json").write_bytes(b"\xff"),
        lambda folder: replace_in(folder / "index.json", '"readings":[["', '"readings":[["0'),
        lambda folder: (folder / "index.json").unlink(),
    ],
    ids=["cut", "one byte", "no pixels", "no JSON", "no text", "another content", "no index"],
)
def test_a_damaged_set_is_decoded_again(data_dir, drawn, spoil, nothing_is_opened):
    """The next run finds an undamaged set."""
    before = read(drawn, SIZE)
    expected, fingerprint = pixels_of(before).copy(), before.fingerprint
    (folder,) = sets()
    spoil(folder)

    after = read(drawn, SIZE)

    assert np.array_equal(expected, pixels_of(after))
    assert fingerprint == after.fingerprint
    nothing_is_opened()
    assert fingerprint == read(drawn, SIZE).fingerprint


def test_a_renamed_set_is_not_used(data_dir, drawn):
    """It is undamaged, but it is another set."""
    before = read(drawn, SIZE).fingerprint
    (small,) = sets()
    read(drawn, (32, 32))
    (other,) = set(sets()) - {small}
    for path in small.iterdir():
        path.write_bytes((other / path.name).read_bytes())

    data = read(drawn, SIZE)

    assert before == data.fingerprint
    assert (24, 64, 64) == data.splits["train"].pixels.shape


def test_a_killed_run_leaves_no_set_that_is_used(data_dir, drawn):
    """Its folder is removed when the next set is written."""
    code = (
        "import os, sys; from pathlib import Path; from model_training.data.dataset import read\n"
        "read(Path(sys.argv[1]), (64, 64), lambda done, total: done == 30 and os.kill(os.getpid(), 9))"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(drawn)], check=False)
    assert -9 == killed.returncode
    assert 1 == len(list(decoded_sets.directory().glob(".building-*")))

    read(drawn, SIZE)

    assert [] == list(decoded_sets.directory().glob(".building-*"))
    assert 1 == len(sets())


def test_a_set_that_is_being_written_is_not_removed(data_dir, drawn):
    """Two runs do not disturb each other: a lock shows that the other one is alive."""
    decoded_sets.directory().mkdir(parents=True)
    living = decoded_sets.directory() / ".building-other"
    living.mkdir()
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    read(drawn, SIZE)

    assert living.is_dir()
    os.close(held)


def test_a_set_that_another_run_wrote_meanwhile_is_replaced(data_dir, drawn):
    """The later set replaces it, and both runs continue with their own pixels."""
    inner = []

    def read_in_between(done, _total):
        if done == 5 and not inner:
            inner.append(None)
            inner[0] = read(drawn, SIZE)

    outer = read(drawn, SIZE, read_in_between)

    assert np.array_equal(pixels_of(outer), pixels_of(inner[0]))
    assert 1 == len(sets())


def test_the_least_recently_used_sets_are_removed(data_dir, drawn, monkeypatch):
    """The last use counts, and a mapped set stays readable after its removal."""
    monkeypatch.setattr(decoded_sets, "KEPT_SETS", 2)
    first = read(drawn, SIZE)
    (used,) = sets()
    read(drawn, (32, 32))
    (old,) = set(sets()) - {used}
    os.utime(used, ns=(1, 1))
    os.utime(old, ns=(2, 2))

    read(drawn, SIZE)
    read(drawn, (40, 40))

    assert used in sets()
    assert old not in sets()
    assert 2 == len(sets())
    assert 0 < first.splits["train"].pixels.max()


def test_a_set_with_a_file_that_could_not_be_opened_is_not_stored(data_dir, drawn, monkeypatch):
    """A change of rights leaves no trace in the file, so it is listed now and tried again next time."""
    closed, opened = drawn / "train" / "Left" / "01.png", films.Path.open

    def refuse(path, *arguments, **options):
        if path == closed:
            raise PermissionError
        return opened(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(films.Path, "open", refuse)
        data = read(drawn, SIZE)

    assert [("train/Left/01.png", "not_readable")] == [(entry.name, entry.reason) for entry in data.left_out]
    assert (23, 64, 64) == data.splits["train"].pixels.shape
    assert [] == sets()
    assert () == read(drawn, SIZE).left_out


def test_films_that_change_while_they_are_read_are_an_error(data_dir, drawn):
    """The films of the training would be unknown; no set is stored."""

    def meddle(done, _total):
        (drawn / "train" / "Right" / "00.png").write_text(f"changed {done}")

    with pytest.raises(DatasetError, match="changed while they were read"):
        read(drawn, SIZE, meddle)

    assert [] == list(decoded_sets.directory().iterdir())


def test_a_film_that_disappears_while_it_is_read_is_an_error(data_dir, drawn, monkeypatch):
    """The message names it in one line."""
    monkeypatch.setattr(films, "FILES_PER_THREAD", 1)

    def remove(done, _total):
        (drawn / "validation" / "Right" / "06.png").unlink(missing_ok=True)

    with pytest.raises(DatasetError, match=r"06\.png: No such file"):
        read(drawn, SIZE, remove)


def test_a_cache_that_cannot_be_written_is_an_error(data_dir, drawn):
    """The message names the folder and the reason."""
    data_dir.mkdir()
    (data_dir / "cache").write_text("somebody's file")

    with pytest.raises(DatasetError, match=r"the cache of films .*cache/films cannot be used"):
        read(drawn, SIZE)


def test_contiguous_parts_are_views_and_others_are_a_set_of_their_own(data_dir, drawn, nothing_is_opened):
    """The set has the order of the rows and is written once."""
    names = sorted((drawn / "train" / "Left").iterdir())
    whole = film_cache.decode([(path.name, path) for path in names], SIZE)
    rows = [np.array([7, 2]), np.array([], np.int64), np.array([2])]

    (view,) = film_cache.regroup(whole, [np.array([3, 4, 5])])
    before = len(sets())
    parts = film_cache.regroup(whole, rows)
    again = film_cache.regroup(whole, rows)

    assert np.shares_memory(view, whole.pixels)
    assert (1, 2) == (before, len(sets()))
    for part, repeated, wanted in zip(parts, again, rows, strict=True):
        assert np.array_equal(whole.pixels[wanted], part)
        assert np.array_equal(part, repeated)
