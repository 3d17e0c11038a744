"""Uploading films, and the page of a submission."""

import io
import re

import pytest

from dashboard.accounts.accounts import Role
from worker.database import reading, transaction
from worker.studies.records import Image, Priority, Submission


def upload(client, auth, *films: tuple[str, bytes], **fields: str):
    """Fill in and send the upload form."""
    form = client.get("/upload").text
    data = {
        "csrf_token": auth.token("/upload"),
        "request_id": re.search(r'name="request_id"[^>]*value="([0-9a-f]{32})"', form)[1],
        "priority": "routine",
        "films": [(io.BytesIO(content), name) for name, content in films],
        **fields,
    }
    return client.post("/upload", data=data)


def test_uploaded_films_are_accepted_and_followed(client, auth):
    """The rows are stored, and the page of the submission is shown."""
    auth.login(Role.CLINICIAN)

    answer = upload(client, auth, ("a.png", b"first"), ("b.png", b"second"), priority="urgent")
    page = client.get(answer.location).text

    with reading() as session:
        submission = session.query(Submission).one()
        assert ["a.png", "b.png"] == [image.reference for image in session.query(Image).order_by(Image.id)]
    assert (303, f"/submissions/{submission.id}") == (answer.status_code, answer.location)
    assert (Priority.URGENT, "dashboard") == (submission.priority, submission.source)
    assert "0 of 2 films finished" in page
    assert f'data-poll="/submissions/{submission.id}/now"' in page


def test_a_second_click_makes_no_second_submission(client, auth):
    """The form has a request id."""
    auth.login(Role.CLINICIAN)

    first = upload(client, auth, ("a.png", b"first"), request_id="0" * 32)
    second = upload(client, auth, ("a.png", b"first"), request_id="0" * 32)

    assert first.location == second.location
    assert "were uploaded before" in client.get(second.location).text


def test_other_films_under_the_same_request_id_are_a_conflict(client, auth):
    """The page says so, and nothing is stored."""
    auth.login(Role.CLINICIAN)
    upload(client, auth, ("a.png", b"first"), request_id="0" * 32)

    answer = upload(client, auth, ("b.png", b"second"), request_id="0" * 32)

    assert 409 == answer.status_code
    assert "with other content" in answer.text


@pytest.mark.parametrize("fields", [{"films": []}, {"priority": "now"}, {"request_id": "../x"}])
def test_a_form_that_is_filled_in_wrongly_comes_back(client, auth, fields):
    """The status is 400."""
    auth.login(Role.CLINICIAN)

    answer = upload(client, auth, ("a.png", b"first"), **fields)

    assert 400 == answer.status_code
    assert "Upload films" in answer.text


def test_more_than_the_limit_is_413(app, client, auth):
    """The answer is an error page."""
    auth.login(Role.CLINICIAN)
    too_much = b"x" * (app.extensions["thoraq_settings"].max_upload_bytes + 1)

    answer = upload(client, auth, ("a.png", too_much))

    assert 413 == answer.status_code
    assert "The upload is too large" in answer.text


def test_the_progress_is_polled_until_the_submission_is_finished(client, auth, rows, scores):
    """Then the page reloads once and stops polling."""
    auth.login(Role.VIEWER)
    rows.study(scores(Pneumonia=0.9), None, model=rows.model())
    rows.study("blank")

    running, finished = (client.get(f"/submissions/{number:032x}/now").json for number in (1, 2))

    assert ("running", False) == (running["state"], running["reload"])
    assert "1 of 2 films finished" in running["parts"]["progress"]
    assert ("finished", True) == (finished["state"], finished["reload"])
    assert "data-poll=" not in client.get(f"/submissions/{2:032x}").text


def test_items_that_were_not_accepted_are_listed(client, auth, rows):
    """Each has its index, reference, reason and detail."""
    auth.login(Role.VIEWER)
    rows.study(None)
    with transaction() as session:
        session.get(Submission, f"{1:032x}").refused = [
            {"index": 3, "reference": "IM-3", "reason": "unknown_root", "detail": "the root is not configured"}
        ]

    page = client.get(f"/submissions/{1:032x}").text

    for part in ("Not accepted", "IM-3", "Unknown root", "the root is not configured"):
        assert part in page


def test_an_unknown_submission_is_not_found(client, auth):
    """This holds for the page and for its script."""
    auth.login(Role.VIEWER)

    assert 404 == client.get("/submissions/4711").status_code
    assert 404 == client.get("/submissions/4711/now").status_code
