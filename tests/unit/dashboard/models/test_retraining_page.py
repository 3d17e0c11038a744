"""The training page: recent runs, and requesting one."""

import pytest

from dashboard.accounts.accounts import Role
from worker import wakeups
from worker.database import reading, transaction
from worker.models import retraining_runs
from worker.models.records import RetrainingRun


@pytest.fixture(autouse=True)
def wakeups_sent(monkeypatch) -> list[int]:
    """The runs for which a wake-up was sent to the trainer."""
    sent: list[int] = []
    monkeypatch.setattr(wakeups, "wake_trainer", lambda run_id: sent.append(run_id) or True)
    return sent


def test_retrain_now_asks_in_the_name_of_the_account(client, auth, wakeups_sent):
    """The run records who requested it."""
    auth.login(Role.SCIENTIST)

    answer = client.post("/training/", data={"csrf_token": auth.token("/training/")}, follow_redirects=True)

    with reading() as session:
        assert [("scientist", "asked")] == [(run.asked_by, run.state) for run in retraining_runs.recent(session)]
    assert [1] == wakeups_sent
    assert "Run 1 was requested" in answer.text


def test_a_second_click_makes_no_second_run(client, auth):
    """There is at most one unfinished run."""
    auth.login(Role.SCIENTIST)
    for _ in range(2):
        client.post("/training/", data={"csrf_token": auth.token("/training/")})

    with reading() as session:
        assert 1 == len(retraining_runs.recent(session))


@pytest.mark.parametrize(("role", "offered"), [(Role.VIEWER, False), (Role.CLINICIAN, False), (Role.ADMIN, True)])
def test_the_button_is_there_for_who_may_press_it(client, auth, role, offered):
    """A role that may not retrain does not see the button."""
    auth.login(role)

    assert offered == ("Retrain now" in client.get("/training/").text)


def test_progress_and_outcome_are_shown(client, auth):
    """The page shows epochs while a run is in progress, and its message when it has ended."""
    auth.login(Role.VIEWER)
    with transaction() as session:
        session.add(RetrainingRun(asked_by="nightly", state="failed", message="no training data"))
        session.add(RetrainingRun(asked_by="ada", state="running", epochs_done=12, epochs_planned=70))

    answer = client.get("/training/now").json

    assert {"id": 2, "state": "running", "epochs_done": 12} == answer["newest"]
    for part in ("12 of 70 epochs", "no training data"):
        assert part in answer["parts"]["runs"]


def test_the_page_reloads_when_a_run_begins_or_ends(client, auth):
    """The button must be enabled or disabled."""
    auth.login(Role.VIEWER)
    assert client.get("/training/now").json["reload"] is False
    assert client.get("/training/now?unfinished=1").json["reload"] is True

    with transaction() as session:
        session.add(RetrainingRun(asked_by="ada", state="running"))

    assert client.get("/training/now").json["reload"] is True
    assert client.get("/training/now?unfinished=1").json["reload"] is False


def test_an_empty_page_says_what_a_run_is(client, auth):
    """It also says how to start one."""
    auth.login(Role.VIEWER)

    assert "thoraq retrain" in client.get("/training/").text
