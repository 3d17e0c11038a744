"""The pictures of films: stored ones are served, and missing ones are requested from a worker."""

import re

import pytest

from dashboard.accounts.accounts import Role
from worker.films.archive import detail_path
from worker.settings import settings

ADDRESS = "/films/1/detail"


@pytest.fixture
def film(client, auth, rows, scores, monkeypatch):
    """A scored film without pictures, a broker that accepts every message, and a function that sends requests."""
    sent = []
    monkeypatch.setattr("worker.wakeups.wake_for_full_picture", lambda image_id: sent.append(image_id) or True)
    rows.study(scores(Effusions=0.9), model=rows.model())
    auth.login(Role.VIEWER)
    token = auth.token("/studies/1")
    return sent, lambda address=ADDRESS: client.post(address, headers={"X-CSRFToken": token})


def test_a_preview_is_served_as_the_worker_made_it(client, auth, rows, scores):
    """It is read from the folder of previews."""
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


def test_a_film_without_a_preview_says_so_and_its_address_is_404(client, auth, rows):
    """The page shows no broken image."""
    auth.login(Role.VIEWER)
    study = rows.study("corrupt")

    assert "There is no preview of this film" in client.get(f"/studies/{study}").text
    assert 404 == client.get("/films/1/preview.jpg").status_code


def test_a_scored_film_without_a_preview_has_a_place_for_the_picture_that_the_page_asks_for(client, film):
    """Films that were scored in a long backlog have no preview."""
    page = client.get("/studies/1").text

    assert f'data-detail-address="{ADDRESS}"' in page
    assert "/films/1/preview.jpg" not in page


def test_the_large_picture_is_requested_and_served(client, film):
    """The answer is 202 until a worker has made it, then its address; a second request sends no second message."""
    sent, ask = film
    requested, waiting, too_early = ask(), client.get(ADDRESS), client.get(f"{ADDRESS}.jpg")
    path = detail_path(settings().previews_dir, f"{1:060x}0000")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a picture")
    again = ask()
    served = client.get(again.json["picture"], buffered=True)

    assert (202, {"state": "asked", "picture": None}, 404) == (
        requested.status_code,
        waiting.json,
        too_early.status_code,
    )
    assert (200, "done") == (again.status_code, again.json["state"])
    assert (b"a picture", "image/jpeg") == (served.data, served.content_type)
    assert [1] == sent


def test_a_film_that_no_decoder_has_read_has_no_large_picture(client, film, rows):
    """This holds for a rejected film, a waiting film, and one that does not exist."""
    sent, ask = film
    rows.study("corrupt")
    rows.study(None)

    assert [404, 404, 404] == [ask(f"/films/{number}/detail").status_code for number in (2, 3, 4711)]
    assert [] == sent


def test_the_number_of_waiting_requests_is_limited(database, monkeypatch):
    """Requests of readers have their own queue, which has a limit."""
    from worker import wakeups

    sent = []
    monkeypatch.setattr(wakeups, "_send", lambda *_, **film: sent.append(film) or True)
    monkeypatch.setattr(wakeups, "_pending", lambda _: len(sent))

    assert [True] * 64 + [False] * 6 == [wakeups.wake_for_full_picture(number) for number in range(70)]


def test_a_request_while_the_broker_is_down_is_503(film, monkeypatch):
    """The page then says that there is no picture at the moment."""
    monkeypatch.setattr("worker.wakeups.wake_for_full_picture", lambda _: False)

    assert 503 == film[1]().status_code
