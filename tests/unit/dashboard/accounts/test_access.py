"""Every endpoint declares who may call it, and answers each role accordingly."""

import base64
from collections import defaultdict

import pytest
from flask import Flask

from dashboard.accounts import access
from dashboard.accounts.accounts import Role

EVERYBODY = set(Role) | {None}
PEOPLE = {Role.VIEWER, Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN}
SENDERS = {Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN}
TRAINERS = {Role.SCIENTIST, Role.ADMIN}
ADMINS = {Role.ADMIN}
SYSTEMS = SENDERS | {Role.UPSTREAM}

#: This repeats the declarations: a new endpoint, or one that more roles may call, must be entered here, too.
EXPECTED = {
    "static": EVERYBODY,
    "bootstrap.static": EVERYBODY,
    "login.index": EVERYBODY,
    "login.log_in": EVERYBODY,
    "login.log_out": PEOPLE,
    "worklist.index": PEOPLE,
    "worklist.current": PEOPLE,
    "worklist.find": PEOPLE,
    "worklist.export": PEOPLE,
    "study.show": PEOPLE,
    "study.current": PEOPLE,
    "pictures.preview": PEOPLE,
    "pictures.request_detail": PEOPLE,
    "pictures.detail_state": PEOPLE,
    "pictures.detail": PEOPLE,
    "heat_maps.request_heat_map": PEOPLE,
    "heat_maps.state": PEOPLE,
    "heat_maps.picture": PEOPLE,
    "reviews.review": SENDERS,
    "reviews.seen": SENDERS,
    "reviews.replay": SENDERS,
    "upload.upload": SENDERS,
    "upload.submission": PEOPLE,
    "upload.submission_now": PEOPLE,
    "queue.index": PEOPLE,
    "queue.current": PEOPLE,
    "queue.chart": PEOPLE,
    "queue.rejected": PEOPLE,
    "queue.replay": SENDERS,
    "queue.replay_all": TRAINERS,
    "models.index": PEOPLE,
    "models.compare": PEOPLE,
    "promotion.confirm_promotion": TRAINERS,
    "promotion.promote": TRAINERS,
    "promotion.confirm_rollback": TRAINERS,
    "promotion.roll_back": TRAINERS,
    "models.show": PEOPLE,
    "models.figure": PEOPLE,
    "models.report": PEOPLE,
    "retraining.index": PEOPLE,
    "drift.index": PEOPLE,
    "retraining.current": PEOPLE,
    "retraining.retrain": TRAINERS,
    "retraining.show": PEOPLE,
    "retraining.cancel": TRAINERS,
    "admin.index": ADMINS,
    "admin.add": ADMINS,
    "admin.change_role": ADMINS,
    "admin.change_password": ADMINS,
    "admin.set_open": ADMINS,
    "admin.make_token": ADMINS,
    "admin.revoke_token": ADMINS,
    "admin.trail": ADMINS,
    "submissions.submit": SYSTEMS,
    "submissions.cancel": SYSTEMS,
    "results.studies": SYSTEMS,
    "results.study": SYSTEMS,
    "results.models": SYSTEMS,
    "results.document": EVERYBODY,
    "schemas.score_request": EVERYBODY,
    "submissions.submission": SYSTEMS,
    "submissions.submission_by_key": SYSTEMS,
    "health.live": EVERYBODY,
    "health.ready": EVERYBODY,
    # It needs a token of its own, which no account has.
    "metrics.scrape": EVERYBODY,
}
PARTS = {
    "form": "csv",
    "run_id": 1,
    "user_id": 99,
    "token_id": 1,
    "finding": "Effusions",
    "study_id": 1,
    "image_id": 1,
    "submission_id": "1",
    "version": "v3-1",
    "name": "curves.svg",
    "filename": "x",
}


def calls(app: Flask) -> list[tuple[str, str, str]]:
    """Return (endpoint, method, path) of every route, log-out last."""
    routes = []
    with app.test_request_context():
        adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            path = adapter.build(rule.endpoint, {name: PARTS[name] for name in rule.arguments})
            routes += [(rule.endpoint, method, path) for method in sorted(rule.methods - {"OPTIONS", "HEAD"})]
    return sorted(routes, key=lambda call: call[0] == "login.log_out")


def test_every_endpoint_has_declared_who_may_call_it(app):
    """The table above has exactly the existing endpoints."""
    assert set(EXPECTED) == set(app.view_functions)


def test_an_endpoint_without_a_declaration_keeps_the_application_from_starting(app):
    """The error names the endpoint."""
    app.view_functions["study.forgotten"] = lambda: "open to all"

    with pytest.raises(RuntimeError, match=r"study\.forgotten"):
        access.check_declarations(app)


def test_an_endpoint_without_a_declaration_is_refused_even_to_an_administrator(app, client, auth):
    """Access is denied by default."""
    app._got_first_request = False
    app.add_url_rule("/forgotten", "forgotten", lambda: "open to all")
    auth.login(Role.ADMIN)

    assert 403 == client.get("/forgotten").status_code


@pytest.mark.parametrize("role", [*Role, None])
def test_every_endpoint_answers_each_role_as_declared(app, client, auth, role, monkeypatch):
    """A refusal is 403, or a redirect to the log-in page; no endpoint fails with 500."""
    app.config["WTF_CSRF_ENABLED"] = False
    monkeypatch.setattr("worker.models.retraining_runs.ask", lambda by, request: 1)
    basic = {}
    if role:
        name = auth.account(role)
        basic = {"Authorization": "Basic " + base64.b64encode(f"{name}:correct horse battery".encode()).decode()}
        client.post("/login", data={"name": name, "password": "correct horse battery"})

    wrong = []
    for endpoint, method, path in calls(app):
        answer = client.open(
            path, method=method, headers=basic if endpoint.startswith(("submissions.", "results.")) else {}
        )
        # A log-out that was done leads to the log-in page too, but with a new cookie.
        led_away = answer.status_code == 303 and answer.location.startswith("/login")
        done = endpoint == "login.log_out" and "Set-Cookie" in answer.headers
        refused = answer.status_code in {401, 403} or (led_away and not done)
        if refused == (role in EXPECTED[endpoint]) or answer.status_code == 500:
            wrong.append((endpoint, method, answer.status_code))

    assert [] == wrong


@pytest.mark.parametrize("role", [*Role, None])
def test_a_method_that_an_address_does_not_have_is_refused_to_every_role(app, client, auth, role):
    """Other methods are 405; HEAD answers as GET does, and OPTIONS shows only the methods."""
    app.config["WTF_CSRF_ENABLED"] = False
    if role:
        client.post("/login", data={"name": auth.account(role), "password": "correct horse battery"})
    declared = defaultdict(set)
    for _, method, path in calls(app):
        declared[path].add(method)

    wrong = []
    for path, methods in declared.items():
        expected = dict.fromkeys({"POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods, 405)
        expected["HEAD"] = client.get(path).status_code
        for method, status in expected.items():
            answer = client.open(path, method=method)
            if status != answer.status_code or (method == "HEAD" and answer.data):
                wrong.append((path, method, answer.status_code))
        options = client.options(path)
        if options.status_code == 200 and (options.data or methods - set(options.allow)):
            wrong.append((path, "OPTIONS", options.data))
    assert [] == wrong


def test_an_unknown_address_is_not_found_for_anybody(client):
    """Routing comes before the access check."""
    assert 404 == client.get("/nothing-here").status_code


def test_a_person_without_a_session_is_led_to_the_log_in_page_and_back(client):
    """After logging in, the requested page is shown."""
    answer = client.get("/studies?state=rejected")

    assert 303 == answer.status_code
    assert "/login?next=/studies?state%3Drejected" == answer.location


def test_a_page_that_polls_gets_401_and_not_a_page(client):
    """The script expects a status, not a log-in form."""
    answer = client.get("/queue/now")

    assert 401 == answer.status_code
    assert "application/problem+json" == answer.content_type
