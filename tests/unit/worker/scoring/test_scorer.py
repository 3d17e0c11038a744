"""Scoring in Celery's eager mode: submitted films are scored when a wake-up arrives."""

import hashlib
import io
import json
import os
import signal
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import select

from worker.database import reading
from worker.decoding import decode
from worker.errors import ModelUnavailable
from worker.films import archive, decoder_pool
from worker.films.phantoms import FINDINGS, draw
from worker.films.preparation import Crashed
from worker.models import directory
from worker.models.classifier import Classifier
from worker.settings import settings
from worker.studies import outcomes
from worker.studies.ledger import PAUSE_SECONDS
from worker.studies.records import Image, Priority
from worker.submissions import intake
from worker.tasks.intake import receive
from worker.tasks.scoring import scorer


def png(film) -> bytes:
    buffer = io.BytesIO()
    Picture.fromarray(film).save(buffer, "PNG")
    return buffer.getvalue()


def submit(films):
    acceptance = intake.submit_files(films, source="test", request_id=None, priority=Priority.ROUTINE)
    with reading() as session:
        return {row.reference: row for row in outcomes.outcomes(session, acceptance.submission_id)}


def test_submitted_films_are_scored(eager, phantom_model):
    """Every film has its probabilities, its model version and a preview; most drawn findings are recognised."""
    films = {f"{finding}/{seed}": png(draw(finding, seed + 90_000)) for finding in FINDINGS for seed in range(5)}

    rows = submit(films.items())

    assert {"scored"} == {row.outcome for row in rows.values()}
    assert {phantom_model} == {row.model_version for row in rows.values()}
    assert {"phantoms"} == {row.trained_on for row in rows.values()}
    assert all(abs(1 - sum(row.probabilities.values())) < 1e-5 for row in rows.values())
    assert sum(name.startswith(row.label) for name, row in rows.items()) >= 14
    for data in films.values():
        assert archive.preview_path(settings().previews_dir, hashlib.sha256(data).hexdigest()).is_file()


def test_the_worker_predicts_what_the_classifier_predicts(eager, phantom_model):
    """Decoder and network are the same for every caller and every batch."""
    films = {str(seed): draw("Opacity", seed) for seed in range(40)}
    classifier = Classifier.load(directory.SHIPPED_PHANTOMS)

    rows = submit((name, png(film)) for name, film in films.items())

    direct = classifier.predict(np.stack([classifier.prepare(decode(png(film))) for film in films.values()]))
    for name, row in zip(films, direct, strict=True):
        assert pytest.approx(row.tolist(), abs=1e-6) == [rows[name].probabilities[c] for c in classifier.card.classes]


def test_a_bad_film_does_not_affect_others(eager, phantom_model):
    """Good films are scored, bad ones are rejected with their reasons."""
    rows = submit([("good", png(draw("Effusions", 1))), ("bad", b"no film at all"), ("empty", b"")])

    assert {"good": None, "bad": "unsupported_format", "empty": "empty"} == {n: row.reason for n, row in rows.items()}


def test_films_named_by_a_message_are_scored(eager, phantom_model, tmp_path, monkeypatch):
    """The message is JSON; a film whose checksum differs from the announced one is rejected."""
    (tmp_path / "a.png").write_bytes(png(draw("Effusions", 1)))
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", json.dumps({"images": str(tmp_path)}))
    settings.cache_clear()
    scorer.cache_clear()
    envelope = {
        "schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": "1",
        "items": [
            {"image": {"path": "a.png"}, "reference": "right"},
            {"image": {"path": "a.png", "sha256": "0" * 64}, "reference": "other bytes"},
        ],
    }  # fmt: skip

    receive.apply(kwargs={"request": json.loads(json.dumps(envelope))})

    with reading() as session:
        rows = {row.reference: (row.outcome, row.reason) for row in outcomes.outcomes(session)}
    assert {"right": ("scored", None), "other bytes": ("rejected", "checksum_mismatch")} == rows


def test_trouble_with_a_root_is_not_charged_to_the_film(eager, phantom_model, tmp_path, monkeypatch):
    """A film below a root that is not mounted waits, and its attempt is given back."""
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", json.dumps({"images": str(tmp_path / "unmounted")}))
    settings.cache_clear()
    scorer.cache_clear()

    intake.accept({"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": "1",
                   "image": {"path": "a.png"}})  # fmt: skip

    with reading() as session:
        image = session.scalars(select(Image)).one()
    assert ("waiting", 0) == (image.state, image.attempts)
    assert 0 < (image.not_before - image.received_at).total_seconds() <= PAUSE_SECONDS + 60


def test_without_an_active_version_films_wait(eager):
    """Nothing is claimed without a model."""
    rows = submit([("film", png(draw("Effusions", 1)))])

    assert "waiting" == rows["film"].outcome
    with reading() as session:
        assert 0 == session.scalars(select(Image)).one().attempts


def test_an_altered_model_file_is_never_loaded(eager, phantom_model):
    """A single changed byte is enough."""
    path = settings().models_dir / phantom_model / directory.MODEL_FILE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(ModelUnavailable, match="not the file that was published"):
        scorer().score_waiting("owner")


def test_a_child_that_runs_out_of_memory_ends_itself(eager, phantom_model, monkeypatch):
    """Its parent goes on, the message is delivered again, and its films are tried one by one."""
    ended = []
    monkeypatch.setattr(
        "worker.scoring.batch_steps.BatchSteps.predict", lambda *_arguments: (_ for _ in ()).throw(MemoryError)
    )
    monkeypatch.setattr("worker.tasks.scoring.os.kill", lambda *arguments: ended.append(arguments))

    with pytest.raises(MemoryError):
        submit([("film", png(draw("Effusions", 1)))])

    assert [(os.getpid(), signal.SIGKILL)] == ended
    with reading() as session:
        assert "scoring" == session.scalars(select(Image)).one().state


def test_a_film_whose_decoder_dies_is_tried_alone_and_finally_rejected(eager, phantom_model, monkeypatch):
    """Its attempts are counted, other films are scored, and this process goes on."""
    deadly = hashlib.sha256(png(draw("Effusions", 1))).hexdigest()
    films, batch_sizes = [png(draw("Effusions", seed)) for seed in range(3)], []
    prepare = decoder_pool.DecoderPool.prepare

    def dying(self, places, preparation, *, preview):
        batch_sizes.append(len(places))
        answers = [answer for part in prepare(self, places, preparation, preview=preview) for answer in part.result()]
        done = Future()
        done.set_result([Crashed("killed") if getattr(a, "sha256", "") == deadly else a for a in answers])
        return [done]

    monkeypatch.setattr("worker.films.decoder_pool.DecoderPool.prepare", dying)
    monkeypatch.setattr("worker.studies.ledger.PAUSE_SECONDS", 0)

    rows = submit((str(number), film) for number, film in enumerate(films))

    assert {"0": "scored", "1": "rejected", "2": "scored"} == {name: row.outcome for name, row in rows.items()}
    assert "crashed_the_worker" == rows["1"].reason
    assert [3, 1, 1] == batch_sizes
