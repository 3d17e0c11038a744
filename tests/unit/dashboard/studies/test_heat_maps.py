"""Heat maps: requested with a CSRF token, described in JSON, served to everybody who may see the film."""

import pytest
from PIL import Image as Picture
from sqlalchemy import update

from dashboard.accounts.accounts import Role
from worker.database import transaction
from worker.scoring.heat_map_requests import heat_map_path
from worker.scoring.records import HeatMap
from worker.settings import settings

ADDRESS = "/studies/1/images/1/heat-maps/Effusions"


@pytest.fixture
def film(rows, scores, monkeypatch):
    """A scored film, and a broker that accepts every message."""
    sent = []
    monkeypatch.setattr("worker.wakeups.wake_for_heat_maps", lambda: sent.append(1) or True)
    rows.study(scores(Effusions=0.9), model=rows.model())
    return sent


@pytest.fixture
def ask(client, auth, film):
    """A function that sends requests as the page's script does."""
    auth.login(Role.VIEWER)
    token = auth.token("/studies/1")
    return lambda address=ADDRESS: client.post(address, headers={"X-CSRFToken": token})


def draw() -> None:
    """Write the rows that the worker would write."""
    path = heat_map_path(settings().heat_maps_dir, f"{1:060x}0000", "v3-0123456789ab", "Effusions")
    path.parent.mkdir(parents=True)
    Picture.new("LA", (8, 8)).save(path)
    with transaction() as session:
        session.execute(update(HeatMap).values(state="done"))


def test_a_heat_map_is_requested_and_served(client, ask, film):
    """The answer is 202 until the worker has drawn it, then it has the address of the picture."""
    requested = ask()
    waiting = client.get(ADDRESS)
    too_early = client.get(f"{ADDRESS}/picture.png")
    draw()
    again = ask()
    with client.get(again.json["picture"]) as picture:
        served = picture.status_code, picture.mimetype

    assert (202, "asked", None) == (requested.status_code, requested.json["state"], requested.json["picture"])
    assert "asked" == waiting.json["state"]
    assert 404 == too_early.status_code
    assert (200, "done") == (again.status_code, again.json["state"])
    assert (200, "image/png") == served
    assert [1] == film


def test_a_failure_is_returned_with_its_reason(client, ask):
    """The page shows the failure."""
    ask()
    with transaction() as session:
        session.execute(update(HeatMap).values(state="failed", detail="the root images is not there: is it mounted?"))

    assert ("failed", "the root images is not there: is it mounted?") == (
        (answer := client.get(ADDRESS).json)["state"],
        answer["detail"],
    )


@pytest.mark.parametrize(
    "address",
    [
        "/studies/2/images/1/heat-maps/Effusions",
        "/studies/1/images/2/heat-maps/Effusions",
        "/studies/1/images/1/heat-maps/Gout",
        "/studies/1/images/1/heat-maps/%00",
    ],
)
def test_what_is_not_of_this_study_is_not_found(client, ask, film, address):
    """A film under another study's address, or an unknown finding, is 404."""
    assert 404 == ask(address).status_code
    assert 404 == client.get(address).status_code
    assert [] == film


def test_without_the_csrf_token_nothing_is_requested(client, auth, film):
    """A page of another site cannot send requests to the worker."""
    auth.login(Role.VIEWER)

    assert 400 == client.post(ADDRESS).status_code
    assert [] == film


def test_nobody_without_a_session_sees_a_heat_map(client, film):
    """Not even its existence is revealed."""
    assert {401} == {client.get(address).status_code for address in (ADDRESS, f"{ADDRESS}/picture.png")}
