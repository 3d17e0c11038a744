"""The formats of a training set, and the messages about data in none of them."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from model_training.commands.train import train
from model_training.data.class_folders import DatasetError
from model_training.data.dataset import SPLITS, read

SIZE = (64, 64)
COLUMNS = ("file", "class", "split", "patient_id", "patient_known", "group_id")


def write_table(path, rows, columns=COLUMNS):
    """Write rows, which may be shorter than the columns, as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def unsplit(drawn):
    """Forty films of two classes in class folders without splits."""
    folder = drawn.parent / "unsplit"
    for path in sorted(drawn.rglob("*.png")):
        target = folder / path.parent.name / f"{path.parent.parent.name}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def names_of(folder):
    """Return the films below a folder, by their names."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def split_of(data):
    """Return the split of each film."""
    return {name: split for split, films in data.splits.items() for name in films.names}


def test_class_folders_alone_are_split(unsplit):
    """Each class is split 70 : 15 : 15, and the data set records it."""
    data = read(unsplit, SIZE)

    assert {"Left": 14, "Right": 14} == data.counts["train"]
    assert {"Left": 3, "Right": 3} == data.counts["validation"] == data.counts["test"]
    assert (0, 40) == (data.splitting.seed, data.splitting.groups)
    assert {} == data.manifest
    assert split_of(data) == split_of(read(unsplit, SIZE))
    assert split_of(data) != split_of(read(unsplit, SIZE, split_seed=1))


def test_pixels_names_and_labels_of_new_splits_match(unsplit, drawn):
    """The films have another order in the array than their files in the folder."""
    whole, data = read(drawn, SIZE), read(unsplit, SIZE)

    expected = {
        digest: (films.pixels[index].tolist(), whole.classes[films.labels[index]])
        for films in whole.splits.values()
        for index, digest in enumerate(films.sha256)
    }
    found = {
        digest: (films.pixels[index].tolist(), data.classes[films.labels[index]])
        for films in data.splits.values()
        for index, digest in enumerate(films.sha256)
    }
    assert expected == found


def test_a_manifest_keeps_patients_and_groups_together(unsplit):
    """A group of look-alikes may join two patients."""
    names = names_of(unsplit)
    rows = [
        (name, name.split("/")[0], "", f"p{index // 4}", "yes", "g" if index in {0, 20} else "")
        for index, name in enumerate(names)
    ]
    write_table(unsplit / "manifest.csv", rows)

    data = read(unsplit, SIZE)

    split = split_of(data)
    assert 9 == data.splitting.groups
    assert all(len({split[name] for name in names[start : start + 4]}) == 1 for start in range(0, 40, 4))
    assert split[names[0]] == split[names[20]]
    assert rows[0][3] == data.manifest[names[0]]["patient_id"]


def test_a_manifest_alone_names_the_films_and_their_splits(drawn, tmp_path):
    """It gives the same fingerprint as the folders; the manifest may have any name."""
    folders = read(drawn, SIZE)
    rows = [(name, name.split("/")[1], name.split("/")[0]) for name in names_of(drawn)]
    path = write_table(drawn / "mine.csv", reversed(rows))

    data = read(path, SIZE)

    assert folders.fingerprint == data.fingerprint
    assert folders.splits["test"].names == data.splits["test"].names
    assert data.splitting is None


def test_files_of_unsplit_data_that_are_not_films_are_listed(unsplit):
    """They are listed although they have no split."""
    (unsplit / "Left" / "note.png").write_text("no image")
    (unsplit / "Left" / "nothing.png").touch()
    shutil.copy(unsplit / "Left" / "train-01.png", unsplit / "Left" / "zwin.png")

    data = read(unsplit, SIZE)

    assert {("Left/note.png", "unsupported_format"), ("Left/nothing.png", "empty"), ("Left/zwin.png", "duplicate")} == {
        (entry.name, entry.reason) for entry in data.left_out
    }
    assert 40 == sum(map(len, data.splits.values()))


def test_the_patient_of_a_copy_counts_for_the_film_that_is_used(unsplit):
    """Two patients have a file of the same content: all their films stay together."""
    shutil.copy(unsplit / "Left" / "train-01.png", unsplit / "Left" / "zwin.png")
    names = names_of(unsplit)
    patients = dict.fromkeys(names, "")
    patients |= {"Left/train-01.png": "p1", "Left/train-03.png": "p1", "Left/zwin.png": "p2", "Left/test-01.png": "p2"}
    write_table(unsplit / "manifest.csv", [(name, name.split("/")[0], "", patients[name]) for name in names])

    split = split_of(read(unsplit, SIZE))

    assert 1 == len({split[name] for name in ("Left/train-01.png", "Left/train-03.png", "Left/test-01.png")})


def test_files_that_are_not_films_are_listed_with_their_reason(drawn):
    """Linked folders, broken and circular links, names that are not UTF-8, files beside the classes, copies."""
    left = drawn / "train" / "Left"
    (left / "deeper").mkdir()
    (left / "deeper" / "note.txt").write_text("no film")
    (left / ".hidden").mkdir()
    (left / ".hidden" / "film.png").touch()
    (left / "circle.png").symlink_to("circle.png")
    (left / "upward").symlink_to("..")
    (left / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(left / "pipe.png")
    (left / "empty.png").touch()
    shutil.copy(left / "01.png", os.fsencode(left) + b"/\xff.png")
    shutil.copy(left / "01.png", left / "copy.png")
    (drawn / "train" / "film.png").touch()

    data = read(drawn, SIZE)

    assert {
        "train/Left/deeper/note.txt": "unsupported_format",
        "train/Left/circle.png": "not_readable",
        "train/Left/upward": "not_readable",
        "train/Left/gone.png": "not_readable",
        "train/Left/pipe.png": "not_readable",
        "train/Left/empty.png": "empty",
        "train/Left/\\xff.png": "name_not_utf8",
        "train/Left/copy.png": "duplicate",
        "train/film.png": "no_class",
    } == {entry.name: entry.reason for entry in data.left_out}
    assert 24 == len(data.splits["train"])
    assert data.left_out == data.splits["train"].left_out


def unlisted(folder):
    """A class folder in test that cannot be listed."""
    shutil.rmtree(folder / "test" / "Left")
    (folder / "test" / "Left").symlink_to("Left")


def file_for_class(folder):
    """A file in the place of a class folder."""
    shutil.rmtree(folder / "validation" / "Right")
    (folder / "validation" / "Right").write_text("films follow")


def emptied(folder):
    """An empty split."""
    shutil.rmtree(folder / "test")
    (folder / "test").mkdir()


def five_twins(folder):
    """Five films of train that are also in test."""
    for path in sorted((folder / "train" / "Left").iterdir())[:5]:
        shutil.copy(path, folder / "test" / "Left" / f"twin-{path.name}")


def odd_class(folder):
    """A class whose name is not UTF-8."""
    Path(os.fsdecode(os.fsencode(folder / "train") + b"/\xff")).mkdir()


def no_films(folder):
    """A class whose only files are not films."""
    for path in (folder / "test" / "Left").iterdir():
        path.write_text("no film")


def one_class(folder):
    """Only one class."""
    for split in SPLITS:
        shutil.rmtree(folder / split / "Left")


def tabled(*rows, columns=COLUMNS):
    """Return a function that turns a folder into films with a manifest of these rows and no split folders."""

    def spoil(folder):
        (folder / "films").mkdir()
        for split in SPLITS:
            (folder / split).rename(folder / "films" / split)
        write_table(folder / "manifest.csv", rows, columns)

    return spoil


def beside(*rows, columns=COLUMNS):
    """Return a function that writes a manifest of these rows beside the split folders."""
    return lambda folder: write_table(folder / "manifest.csv", rows, columns)


LEFT, RIGHT = "films/train/Left/01.png", "films/train/Right/00.png"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (unlisted, "Left is not a folder, but a class has that name"),
        (file_for_class, "Right is not a folder, but a class has that name"),
        (emptied, "test has no readable film of Left"),
        (no_films, "test has no readable film of Left"),
        (one_class, "train needs at least two class folders"),
        (five_twins, "the same film is in two splits or classes: test/Left/twin-01.png = train/Left/01.png; "),
        (five_twins, "; and 2 others"),
        (odd_class, r"a folder whose name is not UTF-8: \xff"),
        (lambda folder: shutil.rmtree(folder / "train"), "has no folder train"),
        (beside(("train/Left/01.png", "Right")), "01.png is in Left, but manifest.csv says Right"),
        (beside(("train/Left/01.png", "Left", "test")), "01.png is in train, but manifest.csv says test"),
        (beside(("train/Left/01.png",), ("train/Left/01.png",)), "line 3: train/Left/01.png already has a row"),
        (beside(("",)), "line 2 names no file"),
        (beside(("x",), columns=("name",)), "has no column file"),
        (lambda folder: (folder / "manifest.csv").write_bytes(b"file\n\xff\n"), "is not CSV in UTF-8"),
        (lambda folder: (folder / "manifest.csv").write_bytes(b"file\n" + b"x" * 200_000), "is not CSV in UTF-8"),
        (lambda folder: (folder / "manifest.csv").touch(), "has no column file"),
        (tabled((LEFT, "Left"), (RIGHT, "Left")), "needs films of at least two classes"),
        (tabled((LEFT, "Left"), (RIGHT, "")), f"gives no class for {RIGHT}"),
        (tabled((LEFT, "Left"), ("films/none.png", "Right")), "names files that do not exist: films/none.png"),
        (tabled(("films", "Left"), (RIGHT, "Right")), "names files that do not exist: films"),
        (tabled(("../drawn/x.png", "Left"), (RIGHT, "Right")), "is not below the manifest's folder"),
        (tabled(("/etc/passwd", "Left"), (RIGHT, "Right")), "is not below the manifest's folder"),
        (tabled((LEFT, "Left", "train"), (RIGHT, "Right", "dev")), "has the splits dev; allowed are train, validation"),
        (tabled((LEFT, "Left", "train"), (RIGHT, "Right")), f"for some films and none for {RIGHT}"),
        (tabled((LEFT, "Left", "train"), (RIGHT, "Right", "train")), "validation has no readable film of Left"),
        (tabled((LEFT, "Left"), (RIGHT, "Right")), "Left has films of 1 patients; three splits need at least three"),
    ],
)
def test_the_command_rejects_unusable_data_in_one_line(database, drawn, tmp_path, spoil, complaint):
    """It exits with 2, prints the message without a traceback, and leaves no files behind."""
    spoil(drawn)

    result = CliRunner().invoke(
        train, ["--data", str(drawn), "--network", "phantom", "--epochs", "1", "--out", str(tmp_path / "out")]
    )

    assert 2 == result.exit_code, result.exception
    assert complaint in " ".join(result.stderr.split("Error: ")[1].split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nothing.csv", "folder"])
def test_the_command_says_what_a_place_without_films_lacks(tmp_path, name):
    """For a path that does not exist, and for an empty folder."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(DatasetError, match=r"neither a folder nor a manifest|no folder train, no class folders and no"):
        read(tmp_path / name, SIZE)


def test_a_manifest_from_a_spreadsheet_is_read(drawn):
    """It may have a byte order mark, blanks around values, and short rows."""
    (drawn / "manifest.csv").write_text("file,patient_id\n train/Left/01.png , p1 \ntrain/Left/03.png\n", "utf-8-sig")

    data = read(drawn, SIZE)

    assert "p1" == data.manifest["train/Left/01.png"]["patient_id"]
    assert "" == data.manifest["train/Left/03.png"]["patient_id"]


@pytest.mark.parametrize(
    ("known", "rejected"), [("yes", True), ("True", True), ("", True), ("No", False), ("0", False)]
)
def test_a_patient_counts_as_known_unless_the_manifest_denies_it(drawn, known, rejected):
    """An unexpected word must not hide a leak."""
    write_table(
        drawn / "manifest.csv",
        [(name, "", "", "p1", known) for name in ("train/Left/01.png", "test/Left/01.png")],
    )

    if rejected:
        with pytest.raises(DatasetError, match="one patient"):
            read(drawn, SIZE)
    else:
        assert 40 == sum(map(len, read(drawn, SIZE).splits.values()))


def test_the_films_of_the_six_classes_are_read_as_before(real_films):
    """They have the counts of their README and the fingerprint of the recorded results."""
    data = read(real_films, SIZE)

    assert [3378, 621, 810] == [len(data.splits[split]) for split in SPLITS]
    assert () == data.left_out
    assert "2de177b8500a5b31cabe5bb6d6f54b732608418ef8c4d2c1751a9070758ab60d" == data.fingerprint
