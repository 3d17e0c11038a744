"""The training set of a run: the base set without the gate's films, plus films that clinicians confirmed."""

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
    """Give every two films of a split a patient."""
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
    """A drawn data set with patients and a folder `gate`."""
    for index in range(4):
        name = "Left" if index % 2 else "Right"
        draw(drawn / "gate" / name / f"{index}.png", 900 + index, bright_left=name == "Left")
    return with_patients(drawn)


@pytest.fixture
def submitted(database, tmp_path):
    """A function that submits a film, has it scored and reviewed, and returns its id."""
    with transaction() as session:
        session.add(ModelVersion(id=1, version="v", sha256="0" * 64, card=card(), report=Report()))
        session.add(
            Submission(id="s", source="pacs", request_id="1", content_sha256="", priority=1, refused=[], extra={})
        )

    def submit(path, *findings, patient=None, by="ann"):
        place, digest = archive.put([path.read_bytes()], settings().archive_dir)
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

    return submit


@pytest.fixture
def new_film(tmp_path, draw):
    """A function that draws a film outside all splits."""

    def draw_new(seed):
        path = tmp_path / "new" / f"{seed}.png"
        draw(path, seed, bright_left=True)
        return path

    return draw_new


def prepare(data, resumed_from=None):
    return training_set.prepare(data, SIZE, seed=0, resumed_from=resumed_from)


def reasons(prepared):
    return dict(prepared.learned_from.corrections.left_out)


def test_without_reviews_a_gate_folder_leaves_train_as_it_is(database, gated):
    """The folder is not part of the base set."""
    prepared = prepare(gated)

    assert 24 == len(prepared.data.splits["train"])
    assert (4, True) == (len(prepared.gate.files), prepared.gate.own_folder)
    assert dataset.read(gated, SIZE).fingerprint == prepared.data.fingerprint


def test_a_gate_is_set_apart_from_train_by_patient_and_stays_when_films_are_added(database, drawn, draw):
    """If only some of a patient's films were in the gate, they would leak."""
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


def test_a_gate_that_shares_a_patient_with_train_is_rejected(database, gated):
    """The network would recognise the patient."""
    text = (gated / "manifest.csv").read_text()
    (gated / "manifest.csv").write_text(text.replace("gate-0", "train-0"))

    with pytest.raises(DatasetError, match="another split"):
        prepare(gated)


def test_a_confirmed_film_is_learned_with_its_confirmed_finding(submitted, gated, new_film):
    """It has its own pixels and its patient."""
    film = submitted(new_film(501), "Right", patient="p9")

    prepared = prepare(gated)

    train = prepared.data.splits["train"]
    assert 25 == len(train)
    assert "Right" == prepared.data.classes[train.labels[-1]]
    assert {"patient_id": "pacs/p9", "source_repo": "reviews"} == prepared.data.manifest[train.names[-1]]
    assert ((film, "Right"),) == prepared.learned_from.corrections.films
    assert train.pixels[-1][:, :8].mean() > train.pixels[-1][:, 8:].mean()


def test_a_film_of_train_that_was_corrected_is_learned_once_as_corrected(submitted, gated):
    """The review is newer than the class of the base set."""
    path = gated / "train" / "Right" / "00.png"
    submitted(path, "Left")

    train = prepare(gated).data.splits["train"]

    assert 24 == len(train)
    assert ["Left"] == [
        ("Left", "Right")[label] for label, digest in zip(train.labels, train.sha256, strict=True)
        if digest == of_one(path)
    ]  # fmt: skip


@pytest.mark.parametrize("split", ["validation", "test", "gate"])
def test_a_locked_film_is_never_learned(submitted, gated, split):
    """Its review does not matter."""
    film = submitted(next((gated / split).rglob("*.png")), "Right")

    prepared = prepare(gated)

    assert {film: "locked_film"} == reasons(prepared)
    assert 24 == len(prepared.data.splits["train"])


@pytest.mark.parametrize("split", ["validation", "test", "gate"])
def test_a_film_of_a_locked_patient_is_never_learned(submitted, gated, new_film, split):
    """The pseudonym is that of the manifest."""
    film = submitted(new_film(501), "Right", patient=f"{split}-0")

    assert {film: "locked_patient"} == reasons(prepare(gated))


def test_a_patient_with_another_locked_film_is_never_learned(submitted, gated, new_film):
    """Only that film, which nobody reviewed, identifies the patient."""
    submitted(gated / "test" / "Left" / "01.png", patient="p9")
    film = submitted(new_film(501), "Right", patient="p9")

    assert {film: "locked_patient"} == reasons(prepare(gated))


def test_a_locked_film_in_another_file_is_locked(submitted, gated, tmp_path):
    """The bytes differ and the pixels are equal."""
    from PIL import Image as Picture

    Picture.open(gated / "test" / "Left" / "01.png").save(tmp_path / "other.tif")

    film = submitted(tmp_path / "other.tif", "Right")

    assert {film: "locked_film"} == reasons(prepare(gated))


def test_disputed_films_and_unknown_classes_are_left_out_and_listed(submitted, gated, new_film):
    """Each has its reason."""
    first = submitted(new_film(501), "Right")
    second = submitted(new_film(501), "Left", by="bob")
    third = submitted(new_film(502), "Fracture")

    assert {first: "conflict", second: "conflict", third: "unknown_class"} == reasons(prepare(gated))


def test_a_film_whose_file_is_gone_is_left_out_and_listed(submitted, gated, new_film):
    """The other films are learned."""
    film = submitted(new_film(501), "Right")
    submitted(new_film(502), "Right")
    (settings().archive_dir / of_one(new_film(501))[:2] / of_one(new_film(501))).unlink()

    prepared = prepare(gated)

    assert {film: "not_found"} == reasons(prepared)
    assert 25 == len(prepared.data.splits["train"])


def test_a_resumed_run_has_the_films_with_which_it_began(submitted, gated, new_film):
    """Otherwise its checkpoint would belong to other data."""
    submitted(new_film(501), "Right")
    began = prepare(gated)
    submitted(new_film(502), "Right")

    assert began.data.fingerprint == prepare(gated, resumed_from=began.learned_from).data.fingerprint
    assert began.data.fingerprint != prepare(gated).data.fingerprint
