"""The HTTP door: acceptance, repeats, conflicts, refusals, and what came of a submission."""

import base64
import io

import pytest
from sqlalchemy.exc import OperationalError

from dashboard.accounts import Role
from worker.database import reading
from worker.records import Submission
from worker.settings import settings


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
    """202, where to ask, and what was accepted; then its state."""
    answer = client.post("/api/v1/submissions", json=envelope(), headers=basic)
    found = client.get(answer.location, headers=basic).json

    assert 202 == answer.status_code
    assert f"/api/v1/submissions/{answer.json['submission_id']}" == answer.location
    assert (1, [], False) == (answer.json["accepted"], answer.json["refused"], answer.json["repeated"])
    assert ("waiting", {"waiting": 1, "scoring": 0, "scored": 0, "rejected": 0}) == (found["state"], found["counts"])
    assert "A" == found["studies"][0]["images"][0]["reference"]


def test_a_repeat_gets_the_first_answer(client, basic):
    """Sending twice is safe."""
    first, second = (client.post("/api/v1/submissions", json=envelope(), headers=basic).json for _ in range(2))

    assert first["submission_id"] == second["submission_id"]
    assert second["repeated"] is True
    assert 1 == submissions()


def test_the_same_key_with_other_content_is_a_conflict(client, basic):
    """409, with a code for programs."""
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
    """And nothing is stored."""
    answer = client.post("/api/v1/submissions", json=envelope(**changed), headers=basic)

    assert_problem(answer, status, code)
    assert 0 == submissions()


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", None), (b"\xff", None), (b"[]", "invalid"), (b'"x"', "invalid"), (b"null", "invalid")]
)
def test_a_body_that_is_no_envelope_is_400(client, basic, body, code):
    """Whether it is no JSON, or JSON of another kind."""
    headers = {**basic, "Content-Type": "application/json"}

    assert_problem(client.post("/api/v1/submissions", data=body, headers=headers), 400, code)


def test_another_kind_of_content_is_415(client, basic):
    """Only JSON and files."""
    headers = {**basic, "Content-Type": "text/csv"}

    assert_problem(client.post("/api/v1/submissions", data=b"a,b", headers=headers), 415)


def test_films_are_accepted_as_multipart(client, basic):
    """For senders without a shared folder; the source is the account unless it says otherwise."""
    films = [(io.BytesIO(b"first"), "a.png"), (io.BytesIO(b"second"), "b.png")]

    answer = client.post("/api/v1/submissions", data={"films": films, "priority": "urgent"}, headers=basic)

    assert 202 == answer.status_code
    assert (2, "pacs-north") == (answer.json["accepted"], answer.json["source"])
    assert "urgent" == client.get(answer.location, headers=basic).json["priority"]


@pytest.mark.parametrize("data", [{}, {"priority": "now", "films": (io.BytesIO(b"x"), "a.png")}])
def test_multipart_without_films_or_with_a_wrong_priority_is_400(client, basic, data):
    """Told with the code `invalid`."""
    answer = client.post("/api/v1/submissions", data=data, headers=basic, content_type="multipart/form-data")

    assert_problem(answer, 400, "invalid")


def test_too_much_is_413(app, client, basic):
    """Before it is looked at."""
    too_much = b"x" * (app.extensions["thoraq_settings"].max_upload_bytes + 1)
    headers = {**basic, "Content-Type": "application/json"}

    assert_problem(client.post("/api/v1/submissions", data=too_much, headers=headers), 413)


@pytest.mark.parametrize("credentials", [None, "nobody:nothing", "pacs:wrong password", "nocolon"])
def test_without_an_account_it_is_401_and_says_how(client, basic, credentials):
    """The challenge is the standard's."""
    given = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()} if credentials else {}

    answer = client.post("/api/v1/submissions", json=envelope(), headers=given)

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert 0 == submissions()


def test_a_session_cookie_opens_no_api(client, auth):
    """So a foreign page's form can do nothing with it."""
    auth.login()

    assert 401 == client.post("/api/v1/submissions", json=envelope()).status_code


def test_a_foreign_page_cannot_use_a_password_that_the_browser_remembers(client, basic):
    """Browsers say where a request comes from."""
    headers = {**basic, "Sec-Fetch-Site": "cross-site"}

    assert_problem(client.post("/api/v1/submissions", json=envelope(), headers=headers), 403)
    assert 0 == submissions()


def test_a_submission_is_found_by_the_senders_own_key(client, basic):
    """For a sender that lost the answer."""
    accepted = client.post("/api/v1/submissions", json=envelope(), headers=basic).json

    found = client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=basic)

    assert accepted["submission_id"] == found.json["submission_id"]
    assert_problem(client.get("/api/v1/submissions?source=pacs-north&request_id=r-2", headers=basic), 404)


def test_results_and_rejections_are_told(client, basic, rows, scores):
    """Six probabilities with their model version, or the reason."""
    rows.study(scores(Pneumonia=0.9), "corrupt", model=rows.model("v3-aaaaaaaaaaaa"))

    study = client.get(f"/api/v1/submissions/{1:032x}", headers=basic).json["studies"][0]

    assert ("scored", "Pneumonia", 0.9) == (study["state"], study["label"], study["probabilities"]["Pneumonia"])
    scored, rejected = study["images"]
    assert (6, "v3-aaaaaaaaaaaa") == (len(scored["probabilities"]), scored["model_version"])
    assert ("corrupt", None) == (rejected["reason"], rejected["probabilities"])


def test_an_outage_of_the_database_is_503_with_a_time_to_come_back(client, basic, monkeypatch):
    """Not accepted, and the sender knows it may try again."""

    def out(message):
        raise OperationalError("insert", {}, ConnectionError("gone"))

    monkeypatch.setattr("worker.intake.accept", out)

    answer = client.post("/api/v1/submissions", json=envelope(), headers=basic)

    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("method", "status"), [("DELETE", 405), ("GET", 404)])
def test_errors_under_api_are_problems_too(client, basic, method, status):
    """Also those that the routing finds."""
    path = "/api/v1/submissions/1" if status == 405 else "/api/v1/nothing"

    assert_problem(client.open(path, method=method, headers=basic), status)


def assert_problem(answer, status: int, code: str | None = None) -> None:
    """Check problem details as RFC 9457 has them."""
    assert (status, "application/problem+json") == (answer.status_code, answer.content_type), answer.text
    assert status == answer.json["status"]
    assert answer.json["title"]
    assert code == answer.json.get("code")
    assert ("about:blank" if code is None else f"urn:thoraq:problem:{code}") == answer.json["type"]


def test_a_system_cannot_speak_or_ask_for_another(client, basic, auth):
    """Its keys could be burnt and its results read."""
    mine = client.post("/api/v1/submissions", json=envelope(), headers=basic).json["submission_id"]
    other = auth.account(Role.UPSTREAM, "pacs-south")
    theirs = {"Authorization": "Basic " + base64.b64encode(f"{other}:correct horse battery".encode()).decode()}

    assert 403 == client.post("/api/v1/submissions", json=envelope(request_id="r-2"), headers=theirs).status_code
    assert 403 == client.get(f"/api/v1/submissions/{mine}", headers=theirs).status_code
    assert 403 == client.get("/api/v1/submissions?source=pacs-north&request_id=r-1", headers=theirs).status_code
    assert 200 == client.get(f"/api/v1/submissions/{mine}", headers=basic).status_code
