"""Data sets are read from folders, and misleading ones are rejected."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model_training.data.class_folders import DatasetError
from model_training.data.dataset import read
from model_training.data.films import read_films
from model_training.data.formats import find_films_to_evaluate
from worker.decoding import decode, resize

SIZE = (64, 64)


def write_manifest(folder, rows):
    """Write a manifest with the columns that are read."""
    lines = ["file,patient_id,patient_known", *(",".join(row) for row in rows)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def test_every_film_of_a_data_set_is_read(drawn):
    """Each with its class and its name."""
    calls = []

    data = read(drawn, SIZE, lambda done, total: calls.append((done, total)))

    assert ("Left", "Right") == data.classes
    assert {"Left": 12, "Right": 12} == data.counts["train"]
    assert {"Left": 4, "Right": 4} == data.counts["test"]
    assert "films" == data.kind
    assert [(done, 40) for done in range(1, 41)] == calls
    assert "train/Left/01.png" == data.splits["train"].names[0]
    assert (24, 64, 64) == data.splits["train"].pixels.shape


def test_a_film_is_read_as_the_worker_reads_it(drawn):
    """Training and scoring use the same decoder and the same resizing."""
    path = drawn / "test" / "Left" / "deep.png"
    slopes = (
        np.linspace(0, 3000, 96)[:, None]
        + np.linspace(0, 1000, 128)
        + np.random.default_rng(1).uniform(0, 90, (96, 128))
    )
    Image.fromarray(slopes.astype(np.uint16)).save(path)

    films = read(drawn, (48, 40)).splits["test"]

    expected = resize(decode(path.read_bytes()), (48, 40))
    assert np.array_equal(expected, films.pixels[films.names.index("test/Left/deep.png")])


def test_a_folder_may_say_that_its_films_are_drawn(drawn):
    """Phantoms are never mistaken for patients."""
    (drawn / "KIND").write_text("phantoms\n")

    assert "phantoms" == read(drawn, SIZE).kind


def test_unreadable_files_are_named_and_left_out(drawn):
    """Their names and reasons are recorded."""
    (drawn / "train" / "Left" / "note.png").write_text("no image")
    (drawn / "train" / "Left" / ".DS_Store").write_text("not even looked at")

    data = read(drawn, SIZE)

    assert [("train/Left/note.png", "unsupported_format")] == [(entry.name, entry.reason) for entry in data.left_out]
    assert 24 == len(data.splits["train"])


def test_a_missing_split_is_rejected(drawn):
    """Without a test split there is no result."""
    shutil.rmtree(drawn / "test")

    with pytest.raises(DatasetError, match="no folder test"):
        read(drawn, SIZE)


def test_a_class_that_a_split_lacks_is_rejected(drawn):
    """A class without a test film would have no result."""
    shutil.rmtree(drawn / "validation" / "Right")

    with pytest.raises(DatasetError, match="validation has no readable film of Right"):
        read(drawn, SIZE)


def test_a_class_that_training_lacks_is_rejected(drawn):
    """The network could not learn it."""
    shutil.copytree(drawn / "test" / "Left", drawn / "test" / "Middle")

    with pytest.raises(DatasetError, match="Middle"):
        read(drawn, SIZE)


@pytest.mark.parametrize("place", ["test/Left", "train/Right"])
def test_one_film_in_two_splits_or_classes_is_rejected_by_name(drawn, place):
    """Two splits leak, two classes contradict each other."""
    shutil.copy(drawn / "train" / "Left" / "01.png", drawn / place / "copy.png")

    with pytest.raises(DatasetError, match=rf"{place}/copy.png.*train/Left/01.png|train/Left/01.png.*{place}/copy.png"):
        read(drawn, SIZE)


def test_a_known_patient_in_two_splits_is_rejected(drawn):
    """The manifest names the patient; the message names films only."""
    write_manifest(drawn, [("train/Left/01.png", "p1", "yes"), ("test/Left/01.png", "p1", "yes")])

    with pytest.raises(DatasetError, match=r"test/Left/01.png and train/Left/01.png") as refusal:
        read(drawn, SIZE)

    assert "p1" not in str(refusal.value)


def test_a_number_for_an_unknown_patient_may_recur(drawn):
    """It groups look-alikes and identifies no patient."""
    write_manifest(drawn, [("train/Left/01.png", "u1", "no"), ("test/Left/01.png", "u1", "no")])

    assert 40 == sum(map(len, read(drawn, SIZE).splits.values()))


def test_the_fingerprint_depends_on_content_split_and_class_alone(drawn):
    """A renamed file is the same film; a film in another split is another data set."""
    before = read(drawn, SIZE).fingerprint

    (drawn / "train" / "Left" / "01.png").rename(drawn / "train" / "Left" / "renamed.png")
    assert before == read(drawn, SIZE).fingerprint

    (drawn / "train" / "Left" / "renamed.png").rename(drawn / "test" / "Left" / "moved.png")
    assert before != read(drawn, SIZE).fingerprint


def films_of(data, classes, size):
    """Read the films on which a model with these classes is evaluated."""
    return read_films(find_films_to_evaluate(data, classes).listing, size)


def test_an_evaluation_reads_the_test_split_if_there_is_one(drawn):
    """The model learned from the other splits."""
    films = films_of(drawn, ("Left", "Right"), SIZE)

    assert 8 == len(films)
    assert all(name.startswith("test/") for name in films.names)


def test_an_evaluation_reads_plain_class_folders_and_fewer_classes(drawn):
    """Labels are indices into the model's classes, not into the folder's."""
    shutil.rmtree(drawn / "test" / "Left")

    films = films_of(drawn / "test", ("Before", "Left", "Right"), SIZE)

    assert {2} == set(films.labels.tolist())


def test_an_evaluation_lists_files_that_are_not_films_and_leaves_no_copies(drawn, data_dir):
    """The films after such a file keep their labels, and none is stored on disk."""
    whole = films_of(drawn, ("Left", "Right"), SIZE)
    (drawn / "test" / "Left" / "02.png").write_text("no image")
    (drawn / "test" / "Left" / "03.png").unlink()

    films = films_of(drawn, ("Left", "Right"), SIZE)

    kept = [index for index, name in enumerate(whole.names) if name != "test/Left/03.png"]
    assert [("test/Left/02.png", "unsupported_format")] == [(entry.name, entry.reason) for entry in films.left_out]
    assert np.array_equal(whole.pixels[kept], films.pixels)
    assert [whole.names[index] for index in kept] == list(films.names)
    assert not data_dir.exists()


@pytest.mark.parametrize("as_file", [True, False])
def test_an_evaluation_reads_the_films_of_a_flat_manifest(drawn, as_file):
    """Its classes are those of the rows, and with splits its test rows are read."""
    flat = drawn / "flat"
    flat.mkdir()
    for index, path in enumerate(sorted((drawn / "test").rglob("*.png"))):
        path.rename(flat / f"{index}-{path.parent.name}.png")
    names = sorted(path.name for path in flat.iterdir())
    rows = [f"{name},{name[2:-4]},{'train' if name.startswith('0') else 'test'}" for name in names]
    (flat / "manifest.csv").write_text("\n".join(["file,class,split", *rows]))

    films = films_of(flat / "manifest.csv" if as_file else flat, ("Left", "Middle", "Right"), SIZE)

    assert 7 == len(films)
    assert {("Left", 0), ("Right", 2)} == set(zip((name[2:-4] for name in films.names), films.labels, strict=True))


def test_a_folder_inside_a_class_folder_belongs_to_the_class(drawn):
    """Films of a class may be sorted by patient or by day; without them the class would be missing."""
    before = read(drawn, SIZE)
    for class_folder in (drawn / "test").iterdir():
        films = sorted(class_folder.iterdir())
        (class_folder / "day 1" / "patient 2").mkdir(parents=True)
        for path in films:
            path.rename(class_folder / "day 1" / "patient 2" / path.name)

    films = films_of(drawn, ("Left", "Right"), SIZE)

    assert [0, 0, 0, 0, 1, 1, 1, 1] == films.labels.tolist()
    assert "test/Left/day 1/patient 2/01.png" == films.names[0]
    assert before.fingerprint == read(drawn, SIZE).fingerprint


def test_an_evaluation_rejects_a_class_that_the_model_does_not_have(drawn):
    """A result without these films would be too good."""
    with pytest.raises(DatasetError, match="Right"):
        films_of(drawn, ("Left", "Middle"), SIZE)


def test_an_evaluation_rejects_a_folder_without_films(tmp_path):
    """There is no film to evaluate."""
    with pytest.raises(DatasetError, match="no readable film"):
        films_of(tmp_path, ("Left", "Right"), SIZE)


def test_a_data_set_cannot_be_changed(drawn):
    """A change needs a copy."""
    data = read(drawn, SIZE)

    assert "phantoms" == replace(data, kind="phantoms").kind
    with pytest.raises(AttributeError):
        data.kind = "phantoms"
