"""The API for submissions: acceptance, repetitions, conflicts, refusals and results."""

import base64
import errno
import io
import json
import os

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dashboard.accounts.accounts import Role
from dashboard.api import json_bodies
from dashboard.errors import CODES
from dashboard.settings import DashboardSettings
from worker.database import reading
from worker.inputs.allowance import Allowance
from worker.inputs.bounded_json import MAX_VALUES
from worker.settings import settings
from worker.studies.records import Image, Study, Submission
from worker.submissions import intake


def envelope(**changed: object) -> dict[str, object]:
    """Return a valid request for one image under the root `images`."""
    return {
        "schema": "cxr.score.request",
        "schema_version": "1.0",
        "source": "pacs-north",
        "request_id": "r-1",
        "items": [{"image": {"root": "images", "path": "a.png"}, "study_instance_uid": "1.2.3", "reference": "A"}],
        **changed,
    }


@pytest.fixture(autouse=True)
def _roots(database, tmp_path, monkeypatch):
    """A configured root `images`."""
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", f'{{"images": "{tmp_path}"}}')
    settings.cache_clear()


def submissions() -> int:
    """Return how many submissions there are."""
    with reading() as session:
        return session.query(Submission).count()


def test_a_submission_is_accepted_and_found_again(client, basic):
    """The answer is 202 with the address of the submission, which then has its state."""
    answer = client.post("/api/v1/submissions", json=envelope(), headers=basic)
    submission = client.get(answer.location, headers=basic).json

    assert 202 == answer.status_code
    assert f"/api/v1/submissions/{answer.json['submission_id']}" == answer.location
    assert (1, [], False) == (answer.json["accepted"], answer.json["refused"], answer.json["repeated"])
    assert ("waiting", {"waiting": 1, "scoring": 0, "scored": 0, "rejected": 0}) == (
        submission["state"],
        submission["counts"],
    )
    assert "A" == submission["studies"][0]["images"][0]["reference"]


def test_a_repeat_gets_the_first_answer(client, basic):
    """It is safe to send a message twice."""
    first, second = (client.post("/api/v1/submissions", json=envelope(), headers=basic).json for _ in range(2))

    assert first["submission_id"] == second["submission_id"]
    assert second["repeated"] is True
    assert 1 == submissions()


def test_the_same_key_with_other_content_is_a_conflict(client, basic):
    """The answer is 409, with a code for programs."""
    client.post("/api/v1/submissions", json=envelope(), headers=basic)

    answer = client.post("/api/v1/submissions", json=envelope(priority="urgent"), headers=basic)

    assert_problem(answer, 409, "conflict")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"schema_version": "2.0"}, 422, "unsupported_schema"),
        ({"request_id": ""}, 400, "invalid"),
        ({"items": []}, 400, "invalid"),
        ({"priority": 0}, 400, "invalid"),
    ],
)
def test_an_envelope_that_cannot_be_read_is_refused_with_its_code(client, basic, changed, status, code):
    """Nothing is stored."""
    answer = client.post("/api/v1/submissions", json=envelope(**changed), headers=basic)

    assert_problem(answer, status, code)
    assert 0 == submissions()


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", "invalid"), (b"\xff", "invalid"), (b"[]", "invalid"), (b'"x"', "invalid"), (b"null", "invalid")],
)
def test_a_body_that_is_no_envelope_is_400(client, basic, body, code):
    """This holds for a body that is not JSON, and for other JSON."""
    headers = {**basic, "Content-Type": "application/json"}

    assert_problem(client.post("/api/v1/submissions", data=body, headers=headers), 400, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"items": [' + b"{}," * 13_000_000 + b"{}]}", 413, "too_large"),
        (b'{"items": [' + b"{}," * (MAX_VALUES + 1) + b"{}]}", 413, "too_large"),
        (b'{"items": ' + b"[" * 100_000, 413, "too_large"),
        (b"[" * 100_000 + b"]" * 100_000, 413, "too_large"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, 413, "too_large"),
        (b'{"items": [' + b"1" * 5000 + b"]}", 400, "invalid"),
    ],
    ids=["13 million items", "items", "levels that do not end", "levels", "levels of objects", "a number"],
)
def test_json_that_would_take_much_memory_is_refused(app, client, basic, body, status, code):
    """The largest upload that is allowed may be JSON, too."""
    app.extensions["thoraq_settings"] = DashboardSettings(mode="test", secure_cookies=False)
    headers = {**basic, "Content-Type": "application/json"}

    assert_problem(client.post("/api/v1/submissions", data=body, headers=headers), status, code)
    assert 0 == submissions()


@pytest.mark.parametrize("items", ["[" * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_identifiers_are_413(client, basic, items):
    """They are a field of a form with films."""
    data = {"films": (io.BytesIO(b"x"), "a.png"), "items": items}

    assert_problem(client.post("/api/v1/submissions", data=data, headers=basic), 413, "too_large")


def test_a_form_that_breaks_off_is_400(client, basic):
    """A film of which the end is missing is not accepted."""
    body = b'--b\r\nContent-Disposition: form-data; name="films"; filename="a.png"\r\n\r\nhalf of a film'
    headers = {**basic, "Content-Type": "multipart/form-data; boundary=b"}

    assert_problem(client.post("/api/v1/submissions", data=body, headers=headers), 400, "bad_request")
    assert 0 == submissions()


def test_a_second_large_envelope_may_come_back_later(client, basic, monkeypatch):
    """Each takes several times its length in memory while it is stored."""
    allowance = Allowance(1000 * json_bodies.MEMORY_PER_BYTE)
    monkeypatch.setattr(json_bodies, "working_memory", allowance)
    monkeypatch.setattr(json_bodies, "WAIT_SECONDS", 0)
    padding = envelope(note="x" * 600)

    with allowance.take(500 * json_bodies.MEMORY_PER_BYTE):
        refused = client.post("/api/v1/submissions", json=padding, headers=basic)
        small = client.post("/api/v1/submissions", json=envelope(request_id="small"), headers=basic)
    again = client.post("/api/v1/submissions", json=padding, headers=basic)

    assert_problem(refused, 503, "unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert [202, 202] == [small.status_code, again.status_code]


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (errno.ENOSPC, 507, "storage_full"),
        (errno.EDQUOT, 507, "storage_full"),
        (errno.EROFS, 503, "storage_unavailable"),
        (errno.EIO, 503, "storage_unavailable"),
    ],
)
@pytest.mark.parametrize(
    "place", ["worker.storage.atomic_files.tempfile.mkstemp", "dashboard.multipart.tempfile.TemporaryFile"]
)
def test_a_disk_that_takes_no_film_is_its_own_problem(client, basic, monkeypatch, caplog, number, status, code, place):
    """It is one line in the log; nothing is stored. The archive and the upload's own file may fail."""

    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number), "/data/archive/secret")

    monkeypatch.setattr(place, fail)

    answer = client.post("/api/v1/submissions", data={"films": (io.BytesIO(b"x"), "a.png")}, headers=basic)

    assert_problem(answer, status, code)
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text + caplog.text
    assert [None] == [record.exc_info for record in caplog.records if record.levelname == "ERROR"]
    assert 0 == submissions()


def test_another_error_of_a_file_is_ours(client, basic, monkeypatch):
    """It is not called trouble with the disk."""

    def fail(*_arguments, **_options):
        raise IsADirectoryError(errno.EISDIR, "is a directory")

    monkeypatch.setattr("dashboard.multipart.tempfile.TemporaryFile", fail)

    answer = client.post("/api/v1/submissions", data={"films": (io.BytesIO(b"x"), "a.png")}, headers=basic)

    assert_problem(answer, 500, "internal_error")


def test_another_kind_of_content_is_415(client, basic):
    """Only JSON and files are accepted."""
    headers = {**basic, "Content-Type": "text/csv"}

    assert_problem(client.post("/api/v1/submissions", data=b"a,b", headers=headers), 415)


def test_films_are_accepted_as_multipart(client, basic):
    """Senders without a shared folder use it; the default source is the name of the account."""
    films = [(io.BytesIO(b"first"), "a.png"), (io.BytesIO(b"second"), "b.png")]

    answer = client.post("/api/v1/submissions", data={"films": films, "priority": "urgent"}, headers=basic)

    assert 202 == answer.status_code
    assert (2, "pacs-north") == (answer.json["accepted"], answer.json["source"])
    assert "urgent" == client.get(answer.location, headers=basic).json["priority"]


@pytest.mark.parametrize("data", [{}, {"priority": "now", "films": (io.BytesIO(b"x"), "a.png")}])
def test_multipart_without_films_or_with_a_wrong_priority_is_400(client, basic, data):
    """The code is `invalid`."""
    answer = client.post("/api/v1/submissions", data=data, headers=basic, content_type="multipart/form-data")

    assert_problem(answer, 400, "invalid")


def test_too_much_is_413(app, client, basic):
    """The body is not read."""
    too_much = b"x" * (app.extensions["thoraq_settings"].max_upload_bytes + 1)
    headers = {**basic, "Content-Type": "application/json"}

    assert_problem(client.post("/api/v1/submissions", data=too_much, headers=headers), 413)


@pytest.mark.parametrize("credentials", [None, "nobody:nothing", "pacs:wrong password", "nocolon"])
def test_without_an_account_it_is_401_and_says_how(client, basic, credentials):
    """The answer has a standard challenge."""
    given = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()} if credentials else {}

    answer = client.post("/api/v1/submissions", json=envelope(), headers=given)

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert 0 == submissions()


def test_a_session_cookie_opens_no_api(client, auth):
    """Otherwise, a form on another site could use it."""
    auth.login()

    assert 401 == client.post("/api/v1/submissions", json=envelope()).status_code


def test_a_foreign_page_cannot_use_a_password_that_the_browser_remembers(client, basic):
    """Browsers send where a request comes from."""
    headers = {**basic, "Sec-Fetch-Site": "cross-site"}

    assert_problem(client.post("/api/v1/submissions", json=envelope(), headers=headers), 403)
    assert 0 == submissions()


def test_a_submission_is_found_by_the_senders_own_key(client, basic):
    """A sender that lost the answer needs it."""
    accepted = client.post("/api/v1/submissions", json=envelope(), headers=basic).json

    submission = client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=basic)

    assert accepted["submission_id"] == submission.json["submission_id"]
    assert_problem(client.get("/api/v1/submissions?source=pacs-north&request_id=r-2", headers=basic), 404)


def test_results_and_rejections_are_returned(client, basic, rows, scores):
    """A film has six probabilities with their model version, or a reason."""
    rows.study(scores(Pneumonia=0.9), "corrupt", model=rows.model("v3-aaaaaaaaaaaa"))

    study = client.get(f"/api/v1/submissions/{1:032x}", headers=basic).json["studies"][0]

    assert ("scored", "Pneumonia", 0.9) == (study["state"], study["label"], study["probabilities"]["Pneumonia"])
    scored, rejected = study["images"]
    assert (6, "v3-aaaaaaaaaaaa") == (len(scored["probabilities"]), scored["model_version"])
    assert ("corrupt", None) == (rejected["reason"], rejected["probabilities"])


def test_an_outage_of_the_database_is_503_with_a_time_to_come_back(client, basic, monkeypatch):
    """The submission is not accepted, and the sender may try again."""

    def out(message):
        raise OperationalError("insert", {}, ConnectionError("gone"))

    monkeypatch.setattr("worker.submissions.intake.accept", out)

    answer = client.post("/api/v1/submissions", json=envelope(), headers=basic)

    assert_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("method", "status"), [("DELETE", 405), ("GET", 404)])
def test_errors_under_api_are_problems_too(client, basic, method, status):
    """This includes the errors of the routing."""
    path = "/api/v1/submissions/1" if status == 405 else "/api/v1/nothing"

    assert_problem(client.open(path, method=method, headers=basic), status)


def assert_problem(answer, status: int, code: str | None = None) -> None:
    """Check problem details (RFC 9457); the default code is that of the status."""
    code = code or CODES[status]
    assert (status, "application/problem+json") == (answer.status_code, answer.content_type), answer.text
    assert status == answer.json["status"]
    assert answer.json["title"]
    assert code == answer.json.get("code")
    assert f"urn:thoraq:problem:{code}" == answer.json["type"]


def test_a_system_cannot_speak_or_ask_for_another(client, basic, auth):
    """It could use up request ids, or read results."""
    mine = client.post("/api/v1/submissions", json=envelope(), headers=basic).json["submission_id"]
    other = auth.account(Role.UPSTREAM, "pacs-south")
    theirs = {"Authorization": "Basic " + base64.b64encode(f"{other}:correct horse battery".encode()).decode()}

    assert 403 == client.post("/api/v1/submissions", json=envelope(request_id="r-2"), headers=theirs).status_code
    assert 403 == client.get(f"/api/v1/submissions/{mine}", headers=theirs).status_code
    assert 403 == client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=theirs).status_code
    assert 200 == client.get(f"/api/v1/submissions/{mine}", headers=basic).status_code


def test_films_carry_the_identifiers_of_the_form_and_those_of_their_own(client, basic):
    """The form has two views of one study, each with its own UID."""
    own = [{"sop_instance_uid": "1.2.3.1", "reference": "PA"}, {"sop_instance_uid": "1.2.3.2"}]
    data = {
        "films": [(io.BytesIO(b"first"), "a.png"), (io.BytesIO(b"second"), "b.png")],
        "study_instance_uid": "1.2.3",
        "accession_number": "A123",
        "accession_issuer": "NORTH",
        "patient_key": "h:9c1f",
        "items": json.dumps(own),
    }

    answer = client.post("/api/v1/submissions", data=data, headers=basic)
    images = client.get(answer.location, headers=basic).json["studies"][0]["images"]

    assert ["1.2.3.1", "1.2.3.2"] == [image["sop_instance_uid"] for image in images]
    assert [("PA", "A123"), ("b.png", "A123")] == [(image["reference"], image["accession_number"]) for image in images]
    with reading() as session:
        study = session.scalars(select(Study)).one()
    assert ("1.2.3", "NORTH", "h:9c1f") == (study.study_instance_uid, study.accession_issuer, study.patient_key)


@pytest.mark.parametrize("items", ["{", "{}", "[1]", "[{}, {}]"])
def test_identifiers_that_fit_no_film_are_400(client, basic, items):
    """No film gets identifiers by guessing."""
    data = {"films": (io.BytesIO(b"x"), "a.png"), "items": items}

    assert_problem(client.post("/api/v1/submissions", data=data, headers=basic), 400, "invalid")
    assert 0 == submissions()


def test_an_uploaded_film_cannot_name_another_file(client, basic):
    """An entry in `items` identifies a film; it cannot name a path."""
    items = json.dumps([{"image": {"root": "archive", "path": "secret"}}])

    client.post("/api/v1/submissions", data={"films": (io.BytesIO(b"x"), "a.png"), "items": items}, headers=basic)

    with reading() as session:
        assert "secret" != session.scalars(select(Image)).one().path


def test_a_malformed_identifier_refuses_its_film_alone(client, basic):
    """The other films are accepted, as with an envelope."""
    data = {
        "films": [(io.BytesIO(b"first"), "a.png"), (io.BytesIO(b"second"), "b.png")],
        "items": json.dumps([{"study_instance_uid": "no uid"}, {}]),
    }

    answer = client.post("/api/v1/submissions", data=data, headers=basic).json

    assert (1, [("a.png", "invalid")]) == (
        answer["accepted"],
        [(refused["reference"], refused["reason"]) for refused in answer["refused"]],
    )


def test_a_refused_message_is_found_by_its_request_id(client, basic):
    """A sender that used Celery learns the reason; other senders do not."""
    intake.receive(envelope(priority="whenever"))

    submission = client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=basic).json
    client.post("/api/v1/submissions", json=envelope(), headers=basic)
    accepted = client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=basic).json

    assert ("refused", ["invalid"]) == (submission["state"], [refusal["code"] for refusal in submission["refusals"]])
    assert ("waiting", ["invalid"]) == (accepted["state"], [refusal["code"] for refusal in accepted["refusals"]])


def test_a_submission_is_withdrawn_by_its_own_source_only(client, basic, auth):
    """Its waiting films are rejected as `cancelled`."""
    address = client.post("/api/v1/submissions", json=envelope(), headers=basic).location
    other = auth.account(Role.UPSTREAM, "pacs-south")
    theirs = {"Authorization": "Basic " + base64.b64encode(f"{other}:correct horse battery".encode()).decode()}

    assert_problem(client.post(f"{address}/cancel", headers=theirs), 403)
    assert_problem(client.post("/api/v1/submissions/0/cancel", headers=basic), 404)
    answer = client.post(f"{address}/cancel", headers=basic).json

    assert ("finished", 1) == (answer["state"], answer["counts"]["rejected"])
    assert "cancelled" == answer["studies"][0]["images"][0]["reason"]


def test_an_endpoint_that_is_not_configured_is_422(client, basic):
    """The operator has configured no such endpoint."""
    message = envelope(callback={"endpoint": "nowhere"})

    assert_problem(client.post("/api/v1/submissions", json=message, headers=basic), 422, "unknown_callback")


def test_the_result_names_the_film_that_decided(client, basic, rows, scores):
    """The film is given for each finding."""
    rows.study(scores(Pneumonia=0.2), scores(Pneumonia=0.9), model=rows.model())

    study = client.get(f"/api/v1/submissions/{1:032x}", headers=basic).json["studies"][0]

    assert study["images"][1]["image_id"] == study["decided_by"]["Pneumonia"]


def test_the_schema_is_published_for_everybody(client):
    """It is served without an account, at the address in its own `$id`."""
    answer = client.get("/schemas/score-request/1.json")

    assert (200, "application/schema+json") == (answer.status_code, answer.content_type)
    assert "/schemas/score-request/1.json" == answer.json["$id"]
    assert_problem(client.get("/schemas/score-request/2.json"), 404)
