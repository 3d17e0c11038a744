"""Logging in and out: wrong passwords, limits on guessing, redirects, and the end of sessions."""

from datetime import timedelta

import pytest

from dashboard.accounts import accounts
from dashboard.accounts.accounts import Role
from dashboard.accounts.login_pages import REFUSAL
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.database import Base, now, reading


def logged_in(client) -> bool:
    """Return whether the client is logged in."""
    return client.get("/studies").status_code == 200


def test_the_right_password_leads_to_the_results(client, auth):
    """After logging in, the worklist is shown."""
    name = auth.account(Role.VIEWER)

    answer = auth.enter(name)

    assert (303, "/studies") == (answer.status_code, answer.location)
    assert logged_in(client)


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(auth):
    """The answer does not reveal which names exist."""
    name = auth.account(Role.VIEWER)

    wrong, unknown = auth.enter(name, "a wrong password"), auth.enter("nobody", "a wrong password")

    assert (401, 401) == (wrong.status_code, unknown.status_code)
    assert REFUSAL in wrong.text
    assert _without_tokens(wrong.text, name) == _without_tokens(unknown.text, "nobody")


def _without_tokens(page: str, name: str) -> list[str]:
    return [line.replace(name, "") for line in page.splitlines() if "csrf_token" not in line]


def test_an_unknown_name_costs_a_verification_too(auth, monkeypatch):
    """The time is the same as for a known name."""
    verified = []
    monkeypatch.setattr(accounts, "_verify", lambda digest, password: verified.append(digest) or False)

    auth.enter("nobody", "a wrong password")

    assert [accounts.dummy_hash()] == verified


def test_a_closed_account_opens_nothing(client, auth):
    """A correct password does not help."""
    name = auth.account(Role.ADMIN)
    with accounts.transaction() as session:
        accounts._existing(session, name).active = False

    assert 401 == auth.enter(name).status_code


def test_the_eleventh_failure_on_one_account_is_429_even_with_the_right_password(auth):
    """The answer says how long to wait."""
    name = auth.account(Role.VIEWER)
    for _ in range(10):
        auth.enter(name, "a wrong password")

    answer = auth.enter(name)

    assert 429 == answer.status_code
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert "Too many failed log-ins" in answer.text


def test_thirty_failures_from_one_address_block_it_for_accounts_that_are_new_there(auth):
    """This stops trying one password on many names."""
    name = auth.account(Role.VIEWER)
    for number in range(30):
        auth.enter(f"somebody-{number}", "a wrong password")

    assert 429 == auth.enter(name).status_code


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/studies",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\tevil",
        "studies",
        "///evil.example",
    ],
)
def test_a_foreign_next_leads_to_the_results_instead(auth, target):
    """Redirects go only to paths of this host."""
    name = auth.account(Role.VIEWER)

    assert "/studies" == auth.enter(name, next=target).location


def test_a_local_next_is_followed(auth):
    """The requested page is shown."""
    name = auth.account(Role.VIEWER)

    assert "/queue/?x=1" == auth.enter(name, next="/queue/?x=1").location


def test_an_upstream_account_may_see_no_page(client, auth):
    """The page names the address of the API."""
    answer = auth.enter(auth.account(Role.UPSTREAM))

    assert 403 == answer.status_code
    assert "/api/v1" in answer.text
    assert not logged_in(client)


def test_a_form_without_its_token_is_refused_and_changes_nothing(client, auth):
    """Every form needs the token of its session."""
    auth.login()
    before = _rows()

    for path in (
        "/login",
        "/logout",
        "/upload",
        "/training/",
        "/studies/1/review",
        "/models/rollback",
        "/admin/accounts",
    ):
        assert 400 == client.post(path, data={"name": "admin"}).status_code, path

    assert before == _rows()
    assert logged_in(client)


def test_a_token_of_another_session_is_refused(app, client, auth):
    """The token of another session is not valid."""
    auth.login()
    foreign = type(auth)(app.test_client()).token()

    assert 400 == client.post("/logout", data={"csrf_token": foreign}).status_code


def _rows() -> list[tuple[str, int]]:
    with reading() as session:
        return [
            (name, len(session.execute(table.select()).all()))
            for name, table in Base.metadata.tables.items()
            if name != "audit_log"
        ]


@pytest.fixture
def later(monkeypatch):
    """A function that advances the clock of sessions."""
    passed = [0.0]
    monkeypatch.setattr("dashboard.accounts.sessions.now", lambda: now() + timedelta(seconds=passed[0]))

    def pass_seconds(seconds: float) -> None:
        passed[0] += seconds

    return pass_seconds


def test_a_session_ends_after_15_minutes_without_a_page(client, auth, later):
    """Nobody has used the session."""
    auth.login()

    later(15 * 60 + 1)

    assert not logged_in(client)


def test_a_page_keeps_the_session_and_its_own_refreshing_does_not(client, auth, later):
    """An unattended screen logs out although it polls."""
    auth.login()
    later(10 * 60)
    assert logged_in(client)
    later(10 * 60)
    assert 200 == client.get("/queue/now").status_code

    later(6 * 60)

    assert 401 == client.get("/queue/now").status_code


def test_a_session_ends_after_8_hours_whatever_happens(client, auth, later):
    """Activity does not extend this limit."""
    auth.login()
    for _ in range(8 * 6):
        later(10 * 60 - 1)
        assert logged_in(client)

    later(60)

    assert not logged_in(client)


def test_a_copied_cookie_opens_nothing_after_log_out(app, client, auth):
    """Logging out ends the session on the server, not only in the browser."""
    auth.login()
    copy = app.test_client()
    copy.set_cookie("thoraq", client.get_cookie("thoraq").value)
    assert logged_in(copy)

    client.post("/logout", data={"csrf_token": auth.token("/studies")})

    assert not logged_in(copy)


def test_a_new_role_or_password_ends_the_sessions(client, auth):
    """Changed rights take effect at once."""
    auth.login(Role.ADMIN)

    accounts.change_role("admin", Role.VIEWER)

    assert not logged_in(client)


def test_logging_in_starts_a_new_session(client, auth):
    """The old content of the cookie is dropped, to prevent session fixation."""
    with client.session_transaction() as session:
        session["planted"] = "yes"
    auth.login()

    with client.session_transaction() as session:
        assert "planted" not in session


def test_the_cookie_is_http_only_lax_and_secure_in_production(database):
    """It has the prefix that binds it to this host."""
    app = create_app(DashboardSettings(mode="production", secret_key="s" * 32))

    cookie = app.test_client().get("/login", base_url="https://localhost").headers["Set-Cookie"]

    assert cookie.startswith("__Host-thoraq=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie


@pytest.mark.parametrize(("mode", "shown"), [("demo", True), ("test", False), ("production", False)])
def test_the_credentials_of_the_demonstration_stand_on_its_log_in_page_only(database, mode, shown):
    """Elsewhere, the page says who adds accounts."""
    app = create_app(DashboardSettings(mode=mode, secret_key="s" * 32))

    assert shown == ("the password <code>demo</code>" in app.test_client().get("/login").text)


def test_the_account_of_the_demonstration_opens_nothing_in_production(database):
    """A data directory of a demonstration is no back door."""
    accounts.add("demo", "demo", Role.ADMIN, "demo")

    assert accounts.authenticate("demo", "demo", "demo") is not None
    assert accounts.authenticate("demo", "demo", "production") is None
