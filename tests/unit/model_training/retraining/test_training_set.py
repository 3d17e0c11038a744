"""What a run learns from: base films, less the gate's, plus what clinicians confirmed; who judges is never taught."""

import csv
import hashlib

import numpy as np
import pytest
from cards import card
from sqlalchemy import select

from model_training.data import dataset
from model_training.data.class_folders import DatasetError
from model_training.retraining import gate_films, training_set
from worker.database import transaction
from worker.films import archive
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.settings import ARCHIVE, settings
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Prediction, Study, Submission, Verdict

SIZE = (16, 16)


def of_one(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_patients(data):
    """Name a patient for every film of a drawn set, two films each within a split."""
    rows = []
    for split in ("train", "validation", "test", "gate"):
        for number, path in enumerate(sorted((data / split).rglob("*.png"))):
            rows.append({"file": path.relative_to(data).as_posix(), "patient_id": f"{split}-{number // 2}"})
    with (data / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["file", "patient_id"])
        table.writeheader()
        table.writerows(rows)
    return data


@pytest.fixture
def gated(drawn, draw):
    """A drawn set with a folder `gate`, and patients."""
    for index in range(4):
        name = "Left" if index % 2 else "Right"
        draw(drawn / "gate" / name / f"{index}.png", 900 + index, bright_left=name == "Left")
    return with_patients(drawn)


@pytest.fixture
def handed_over(database, tmp_path):
    """A function that hands a film over, has it scored and corrected, and returns its id."""
    with transaction() as session:
        session.add(ModelVersion(id=1, version="v", sha256="0" * 64, card=card(), report=Report()))
        session.add(
            Submission(id="s", source="pacs", request_id="1", content_sha256="", priority=1, refused=[], extra={})
        )

    def hand_over(path, *findings, patient=None, by="ann"):
        place, digest = archive.put(path.read_bytes(), settings().archive_dir)
        with transaction() as session:
            known = session.scalar(select(Prediction).where(Prediction.image_sha256 == digest))
            said = known or Prediction(
                image_sha256=digest, model_version_id=1, label="Left", probability=0.6, probabilities={"Left": 0.6}
            )
            film = Image(
                study=Study(submission_id="s", patient_key=patient), root=ARCHIVE, path=place, sha256=digest,
                priority=1, state=ImageState.SCORED, prediction=said,
            )  # fmt: skip
            session.add(film)
            session.flush()
            if findings:
                reviews.add(session, film.study_id, by=by, verdict=Verdict.CORRECT, findings=findings)
            return film.id

    return hand_over


@pytest.fixture
def new_film(tmp_path, draw):
    """A function that draws a film that is in no split."""

    def draw_new(seed):
        path = tmp_path / "new" / f"{seed}.png"
        draw(path, seed, bright_left=True)
        return path

    return draw_new


def prepared(data, resumed_from=None):
    return training_set.prepare(data, SIZE, seed=0, resumed_from=resumed_from)


def reasons(found):
    return dict(found.learned_from.corrections.left_out)


def test_without_reviews_a_gate_folder_leaves_train_as_it_is(database, gated):
    """The folder is no part of the base set."""
    found = prepared(gated)

    assert 24 == len(found.data.splits["train"])
    assert (4, True) == (len(found.gate.files), found.gate.brought)
    assert dataset.read(gated, SIZE).fingerprint == found.data.fingerprint


def test_a_gate_is_set_apart_from_train_by_patient_and_stays_when_films_are_added(database, drawn, draw):
    """Half of the films of one patient in the gate would leak."""
    base = dataset.read(with_patients(drawn), SIZE)
    gate, remaining = gate_films.set_gate_apart(base, drawn, SIZE, seed=1)
    again, _ = gate_films.set_gate_apart(base, drawn, SIZE, seed=1)

    in_train = {base.manifest[name]["patient_id"] for name in np.array(base.splits["train"].names)[remaining]}
    assert 0 < len(gate.files) < 12
    assert set() == in_train & set(gate.patients)
    assert gate.fingerprint == again.fingerprint

    draw(drawn / "train" / "Left" / "zz.png", 777, bright_left=True)
    grown, _ = gate_films.set_gate_apart(dataset.read(drawn, SIZE), drawn, SIZE, seed=1)
    assert set(gate.sha256) <= set(grown.sha256)


def test_a_gate_that_shares_a_patient_with_train_is_refused(database, gated):
    """It would not judge, it would remember."""
    text = (gated / "manifest.csv").read_text()
    (gated / "manifest.csv").write_text(text.replace("gate-0", "train-0"))

    with pytest.raises(DatasetError, match="another split"):
        prepared(gated)


def test_a_confirmed_film_is_learned_under_the_finding_that_was_confirmed(handed_over, gated, new_film):
    """With its own pixels and its patient."""
    film = handed_over(new_film(501), "Right", patient="p9")

    found = prepared(gated)

    train = found.data.splits["train"]
    assert 25 == len(train)
    assert "Right" == found.data.classes[train.labels[-1]]
    assert {"patient_id": "pacs/p9", "source_repo": "reviews"} == found.data.manifest[train.names[-1]]
    assert ((film, "Right"),) == found.learned_from.corrections.films
    assert train.pixels[-1][:, :8].mean() > train.pixels[-1][:, 8:].mean()


def test_a_film_of_train_that_was_corrected_is_learned_once_as_corrected(handed_over, gated):
    """The reviewer's word is the newer one."""
    path = gated / "train" / "Right" / "00.png"
    handed_over(path, "Left")

    train = prepared(gated).data.splits["train"]

    assert 24 == len(train)
    assert ["Left"] == [
        ("Left", "Right")[label] for label, digest in zip(train.labels, train.sha256, strict=True)
        if digest == of_one(path)
    ]  # fmt: skip


@pytest.mark.parametrize("split", ["validation", "test", "gate"])
def test_a_film_that_judges_is_never_taught(handed_over, gated, split):
    """Whatever was said of it."""
    film = handed_over(next((gated / split).rglob("*.png")), "Right")

    found = prepared(gated)

    assert {film: "locked_film"} == reasons(found)
    assert 24 == len(found.data.splits["train"])


@pytest.mark.parametrize("split", ["validation", "test", "gate"])
def test_a_film_of_a_patient_who_judges_is_never_taught(handed_over, gated, new_film, split):
    """Known by the same pseudonym as in the manifest."""
    film = handed_over(new_film(501), "Right", patient=f"{split}-0")

    assert {film: "locked_patient"} == reasons(prepared(gated))


def test_a_patient_one_of_whose_other_films_judges_is_never_taught(handed_over, gated, new_film):
    """Known by that film alone, which nobody reviewed."""
    handed_over(gated / "test" / "Left" / "01.png", patient="p9")
    film = handed_over(new_film(501), "Right", patient="p9")

    assert {film: "locked_patient"} == reasons(prepared(gated))


def test_the_same_picture_in_another_file_is_a_film_that_judges(handed_over, gated, tmp_path):
    """Bytes differ, pixels do not."""
    from PIL import Image as Picture

    Picture.open(gated / "test" / "Left" / "01.png").save(tmp_path / "other.tif")

    film = handed_over(tmp_path / "other.tif", "Right")

    assert {film: "locked_film"} == reasons(prepared(gated))


def test_what_reviewers_differ_on_or_the_set_does_not_know_is_left_out_and_listed(handed_over, gated, new_film):
    """With its reason."""
    first = handed_over(new_film(501), "Right")
    second = handed_over(new_film(501), "Left", by="bob")
    third = handed_over(new_film(502), "Fracture")

    assert {first: "conflict", second: "conflict", third: "unknown_class"} == reasons(prepared(gated))


def test_a_film_whose_bytes_are_gone_is_left_out_and_listed(handed_over, gated, new_film):
    """The others are learned."""
    film = handed_over(new_film(501), "Right")
    handed_over(new_film(502), "Right")
    (settings().archive_dir / of_one(new_film(501))[:2] / of_one(new_film(501))).unlink()

    found = prepared(gated)

    assert {film: "not_found"} == reasons(found)
    assert 25 == len(found.data.splits["train"])


def test_a_run_that_goes_on_has_the_films_with_which_it_began(handed_over, gated, new_film):
    """Otherwise its checkpoint would be of other data."""
    handed_over(new_film(501), "Right")
    began = prepared(gated)
    handed_over(new_film(502), "Right")

    assert began.data.fingerprint == prepared(gated, resumed_from=began.learned_from).data.fingerprint
    assert began.data.fingerprint != prepared(gated).data.fingerprint
