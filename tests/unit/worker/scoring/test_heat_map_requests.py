"""Heat maps: requested once, drawn by a worker with the version that made the prediction, stored."""

import hashlib
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import func, select, update

from worker.database import now, reading, transaction
from worker.films.phantoms import draw, save
from worker.models import directory, registry
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import heat_map_path
from worker.scoring.heat_maps import picture
from worker.scoring.records import HeatMap, HeatMapState
from worker.settings import settings
from worker.studies.records import Image, Priority
from worker.submissions import intake
from worker.tasks.scoring import heat_map_drawer


@pytest.fixture
def film(eager, phantom_model, tmp_path):
    """A scored phantom with an effusion."""
    save(draw("Effusions", 90_001), tmp_path / "film.png")
    data = (tmp_path / "film.png").read_bytes()
    intake.submit_files([("film", data)], source="test", request_id=None, priority=Priority.ROUTINE)
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def unanswered(monkeypatch):
    """No worker receives the wake-ups."""
    monkeypatch.setattr("worker.wakeups.wake_for_heat_maps", lambda: True)


def row() -> HeatMap:
    with reading() as session:
        return session.scalars(select(HeatMap)).one()


def test_a_requested_heat_map_is_drawn(film, phantom_model):
    """A small picture of grey and alpha, in the film's proportions, named by content, version and finding."""
    heat_map_requests.request(1, "Effusions")

    assert HeatMapState.DONE == row().state
    path = heat_map_path(settings().heat_maps_dir, film, phantom_model, "Effusions")
    with Picture.open(path) as image:
        assert ("LA", (256, 256)) == (image.mode, image.size)
        grey, alpha = (np.asarray(band) for band in image.split())
    assert (grey == alpha).all()
    assert grey.max() > 200
    assert path.stat().st_size < 100_000


def test_a_second_request_draws_nothing_new(film, monkeypatch):
    """A heat map is drawn once, however many readers look at it."""
    heat_map_requests.request(1, "Effusions")
    monkeypatch.setattr("worker.wakeups.wake_for_heat_maps", lambda: pytest.fail("there is a heat map already"))

    again = heat_map_requests.request(1, "Effusions")

    assert HeatMapState.DONE == again.state
    with reading() as session:
        assert 1 == session.scalar(select(func.count()).select_from(HeatMap))


@pytest.mark.parametrize(("image_id", "finding"), [(2, "Effusions"), (1, "Covid-19"), (1, "")])
def test_a_film_or_finding_that_does_not_exist_has_no_heat_map(film, image_id, finding):
    """No row is written."""
    assert heat_map_requests.request(image_id, finding) is None


def test_a_film_that_waits_has_no_heat_map(eager):
    """A heat map belongs to a prediction."""
    intake.submit_files([("film", b"x")], source="test", request_id=None, priority=Priority.ROUTINE)

    assert heat_map_requests.request(1, "Effusions") is None


def test_the_version_that_made_the_prediction_draws_the_heat_map(film, phantom_model):
    """A promotion in between changes nothing."""
    with transaction() as session:
        other = registry.import_model(session, directory.SHIPPED_PAPER, settings().models_dir)
        registry.activate(session, other.version, by="test")

    heat_map_requests.request(1, "Opacity")

    assert phantom_model == heat_map_drawer()._classifier.card.version
    assert HeatMapState.DONE == row().state


def test_an_altered_model_draws_nothing_and_a_later_request_tries_again(film, phantom_model):
    """The hash is checked before the file is loaded."""
    path = settings().models_dir / phantom_model / directory.MODEL_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])

    heat_map_requests.request(1, "Effusions")
    failed = row()
    path.write_bytes(whole)
    heat_map_requests.request(1, "Effusions")

    assert HeatMapState.FAILED == failed.state
    assert "not the file that was published" in failed.detail
    assert HeatMapState.DONE == row().state


def test_a_fault_of_the_program_is_no_reason_for_a_missing_heat_map(film, unanswered, monkeypatch):
    """It is raised, so that the log has its traceback; the request is tried again after its lease."""
    heat_map_requests.request(1, "Effusions")
    monkeypatch.setattr("worker.scoring.heat_maps.picture", lambda heat, shape: [].index(0))

    with pytest.raises(ValueError, match="not in list"):
        heat_map_drawer().draw_requested()

    assert (HeatMapState.ASKED, 1) == (row().state, row().attempts)


def test_a_film_that_was_replaced_gets_no_heat_map(film):
    """The heat map of another film would lie over this one's picture."""
    path = settings().archive_dir / film[:2] / film
    save(draw("Opacity", 5), path.with_suffix(".png"))
    path.with_suffix(".png").replace(path)

    heat_map_requests.request(1, "Effusions")

    why = "checksum_mismatch: the file is no longer the one that was scored"
    assert (HeatMapState.FAILED, why) == (row().state, row().detail)


def test_a_heat_map_is_claimed_by_one_worker_and_again_after_its_lease(film, unanswered):
    """If a process dies, the heat map can be claimed again after the lease; after three deaths it fails."""
    heat_map_requests.request(1, "Effusions")

    for _ in range(heat_map_requests.MAX_ATTEMPTS):
        assert "Effusions" == heat_map_requests.claim().finding
        assert heat_map_requests.claim() is None
        with transaction() as session:
            assert not heat_map_requests.any_requested(session)
            session.execute(update(HeatMap).values(lease_until=now() - timedelta(seconds=1)))
            assert heat_map_requests.any_requested(session)

    assert heat_map_requests.claim() is None
    assert (HeatMapState.FAILED, True) == (row().state, "died 3 times" in row().detail)


def test_the_sweeper_sends_a_lost_wake_up_again(film, monkeypatch):
    """It stops once the heat map is drawn."""
    from worker.tasks import sweeper

    sent = []
    monkeypatch.setattr("worker.wakeups.wake_for_heat_maps", lambda: sent.append(1))
    heat_map_requests.request(1, "Effusions")
    sweeper.sweep()
    heat_map_drawer().draw_requested()
    sweeper.sweep()

    assert 2 == len(sent)


def test_the_picture_has_the_proportions_of_the_film():
    """A tall film has a tall heat map, whatever the network's input size."""
    assert (128, 256) == picture(np.ones((12, 12), np.float32), (2000, 1000)).size


def test_the_same_content_submitted_twice_has_one_heat_map(film, tmp_path):
    """It belongs to the prediction."""
    data = (tmp_path / "film.png").read_bytes()
    heat_map_requests.request(1, "Effusions")
    intake.submit_files([("again", data)], source="test", request_id=None, priority=Priority.ROUTINE)

    with reading() as session:
        assert 2 == session.scalar(select(func.count()).select_from(Image))
        assert HeatMapState.DONE == heat_map_requests.find(session, 2, "Effusions").state


def test_the_command_line_writes_a_heat_map(film, tmp_path):
    """The command requests it, waits for it and copies it."""
    from click.testing import CliRunner

    from worker.commands.explain import explain

    out = tmp_path / "heat.png"
    done = CliRunner().invoke(explain, ["1", "--finding", "Effusions", "--out", str(out)])
    unknown = CliRunner().invoke(explain, ["1", "--finding", "Gout", "--out", str(out)])

    assert (0, 2) == (done.exit_code, unknown.exit_code)
    with Picture.open(out) as image:
        assert "LA" == image.mode


def test_the_command_line_does_not_wait_for_ever(film, unanswered, tmp_path):
    """Without a worker it prints one line, and the request stays."""
    from click.testing import CliRunner

    from worker.commands.explain import explain

    arguments = ["1", "--finding", "Effusions", "--out", str(tmp_path / "heat.png"), "--wait-seconds", "0"]
    done = CliRunner().invoke(explain, arguments)

    assert 1 == done.exit_code
    assert "no worker drew it" in done.output
    assert HeatMapState.ASKED == row().state
