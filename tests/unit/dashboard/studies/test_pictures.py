"""The pictures of films: what the worker stored is served, and what it has not is asked of it."""

import re

import pytest

from dashboard.accounts.accounts import Role
from worker.films.archive import detail_path
from worker.settings import settings

ADDRESS = "/films/1/detail"


@pytest.fixture
def film(client, auth, rows, scores, monkeypatch):
    """A scored film without any picture, a broker that takes every message, and what asks as the page's script does."""
    sent = []
    monkeypatch.setattr("worker.wakeups.wake_for_full_picture", lambda image_id: sent.append(image_id) or True)
    rows.study(scores(Effusions=0.9), model=rows.model())
    auth.login(Role.VIEWER)
    token = auth.token("/studies/1")
    return sent, lambda address=ADDRESS: client.post(address, headers={"X-CSRFToken": token})


def test_a_preview_is_served_as_the_worker_made_it(client, auth, rows, scores):
    """From the previews' folder, by the film's row."""
    auth.login(Role.VIEWER)
    study = rows.study(scores(Pneumonia=0.5), model=rows.model())
    sha256 = f"{1:060x}{0:04x}"
    path = settings().previews_dir / sha256[:2] / f"{sha256}.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a picture")

    address = re.search(r'src="(/films/\d+/preview.jpg)"', client.get(f"/studies/{study}").text)[1]
    answer = client.get(address, buffered=True)

    assert (200, b"a picture", "image/jpeg") == (answer.status_code, answer.data, answer.content_type)
    assert "no-store" == answer.headers["Cache-Control"]


def test_a_film_without_a_preview_is_said_and_its_address_is_not_found(client, auth, rows):
    """No broken picture."""
    auth.login(Role.VIEWER)
    study = rows.study("corrupt")

    assert "There is no preview of this film" in client.get(f"/studies/{study}").text
    assert 404 == client.get("/films/1/preview.jpg").status_code


def test_a_scored_film_without_a_preview_has_a_place_for_the_picture_that_the_page_asks_for(client, film):
    """The oldest films of a backlog got none."""
    page = client.get("/studies/1").text

    assert f'data-detail-address="{ADDRESS}"' in page
    assert "/films/1/preview.jpg" not in page


def test_the_picture_in_full_is_asked_for_told_and_served(client, film):
    """202 until a worker has made it, then its address; a second request sends no second message."""
    sent, ask = film
    asked, waiting, too_early = ask(), client.get(ADDRESS), client.get(f"{ADDRESS}.jpg")
    path = detail_path(settings().previews_dir, f"{1:060x}0000")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a picture")
    again = ask()
    served = client.get(again.json["picture"], buffered=True)

    assert (202, {"state": "asked", "picture": None}, 404) == (asked.status_code, waiting.json, too_early.status_code)
    assert (200, "done") == (again.status_code, again.json["state"])
    assert (b"a picture", "image/jpeg") == (served.data, served.content_type)
    assert [1] == sent


def test_what_no_decoder_came_through_with_is_not_asked_for(client, film, rows):
    """A film that was rejected, one that waits, and one that is none."""
    sent, ask = film
    rows.study("corrupt")
    rows.study(None)

    assert [404, 404, 404] == [ask(f"/films/{number}/detail").status_code for number in (2, 3, 4711)]
    assert [] == sent


def test_who_asks_without_end_rings_only_so_often(database, monkeypatch):
    """Requests of readers have a queue of their own with a limit."""
    from worker import wakeups

    sent = []
    monkeypatch.setattr(wakeups, "_send", lambda *_, **film: sent.append(film) or True)
    monkeypatch.setattr(wakeups, "_pending", lambda _: len(sent))

    assert [True] * 64 + [False] * 6 == [wakeups.wake_for_full_picture(number) for number in range(70)]


def test_a_broker_that_is_out_is_said(film, monkeypatch):
    """The page tells that there is no picture now."""
    monkeypatch.setattr("worker.wakeups.wake_for_full_picture", lambda _: False)

    assert 503 == film[1]().status_code
