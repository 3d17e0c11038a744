"""The pages of administrators: accounts, tokens and the audit log, to which actions are written before they happen."""

import re

import pytest
from sqlalchemy import select
from sqlalchemy import text as sql
from sqlalchemy.exc import DatabaseError

from dashboard.accounts import tokens
from dashboard.accounts.accounts import Role
from dashboard.accounts.tokens import Scope
from worker import audit
from worker.database import engine, reading, transaction
from worker.studies.records import Submission


@pytest.fixture
def admin(auth):
    auth.login(Role.ADMIN)
    return auth


def send(admin, path: str, **form: object):
    token = admin.token("/admin/accounts")
    return admin.client.post(f"/admin/{path}", data={"csrf_token": token, **form}, follow_redirects=True)


def entries() -> list[audit.AuditEntry]:
    with reading() as session:
        return list(audit.newest(session))


def test_an_administrator_adds_changes_and_closes_accounts(admin, client):
    """The page can do what the command line can do."""
    assert (
        "The account was added"
        in send(admin, "accounts", name="bob", password="long enough indeed", role="viewer").text
    )
    assert (
        "already an account" in send(admin, "accounts", name="bob", password="long enough indeed", role="viewer").text
    )
    assert "no such role" in send(admin, "accounts", name="eve", password="long enough indeed", role="king").text
    number = re.search(r"/admin/accounts/(\d+)/role\D+", client.get("/admin/accounts").text)[1]

    assert "account have ended" in send(admin, f"accounts/{number}/role", role="clinician").text
    assert "account have ended" in send(admin, f"accounts/{number}/password", password="another long one").text
    assert "The account is closed" in send(admin, f"accounts/{number}/open", open="no").text
    with admin.client.application.test_client() as bob:
        admin.client = bob
        assert 401 == admin.enter("bob", "another long one").status_code


def test_nobody_locks_themselves_out(admin):
    """Otherwise, no administrator might be left."""
    assert "your own account" in send(admin, "accounts/1/role", role="viewer").text
    assert "your own account" in send(admin, "accounts/1/open", open="no").text


def test_a_token_is_shown_once_has_its_scopes_only_and_can_be_revoked(admin, client):
    """Only its hash is stored."""
    system = admin.account(Role.UPSTREAM, "pacs-north")
    page = send(admin, "tokens", system=system, purpose="night batch", scopes=[Scope.RESULTS], days="30").text
    token = re.search(r"thq_[\w-]{43}", page)[0]
    header = {"Authorization": f"Bearer {token}"}
    query = {"source": system, "request_id": "x"}

    assert token not in client.get("/admin/accounts").text
    assert 404 == client.get("/api/v1/submissions", query_string=query, headers=header).status_code
    assert 403 == client.post("/api/v1/submissions", json={}, headers=header).status_code
    with engine().connect() as connection:
        assert token not in str(connection.execute(sql("SELECT * FROM api_tokens")).all())

    send(admin, "tokens/1/revoke")
    assert 401 == client.get("/api/v1/submissions", query_string=query, headers=header).status_code


def test_a_token_needs_a_system_and_a_scope(admin):
    """People log in instead, and a token without a scope is useless."""
    admin.account(Role.UPSTREAM, "pacs-north")

    assert "no system" in send(admin, "tokens", system="admin", purpose="x", scopes=[Scope.RESULTS]).text
    assert "at least one scope" in send(admin, "tokens", system="pacs-north", purpose="x").text


def test_the_tokens_of_a_closed_account_are_not_valid(admin):
    """Closing an account disables its tokens."""
    name = admin.account(Role.UPSTREAM, "pacs-north")
    token = tokens.make(name, "x", [Scope.RESULTS], 1, "admin")
    assert tokens.authenticate(token) is not None

    send(admin, "accounts/2/open", open="no")

    assert tokens.authenticate(token) is None


def test_log_ins_views_and_refusals_are_logged(admin, client, rows, basic):
    """An entry has the user, the action, the target and the outcome, but no unknown name that somebody typed."""
    study = rows.study(None)
    client.get(f"/studies/{study}")
    client.get("/studies/export.csv")
    with reading() as session:
        submission = session.scalars(select(Submission.id)).first()
    client.get(f"/submissions/{submission}")
    client.get(f"/api/v1/submissions/{submission}", headers=basic)
    with client.application.test_client() as other:
        admin.client = other
        admin.enter("no-such-name", "a password in the wrong field")
        admin.account(Role.VIEWER)
        admin.enter("viewer")
        other.get("/admin/audit")

    logged = [(entry.who, entry.action, entry.target, entry.outcome) for entry in entries()]

    assert [
        ("viewer", "read the audit log", "", "refused"),
        ("viewer", "log in", "", "opened"),
        (None, "log in", "", "failed"),
        ("pacs-north", "view submission", f"submission_id {submission}", "allowed"),
        ("admin", "view submission", f"submission_id {submission}", "allowed"),
        ("admin", "export", "form csv", "allowed"),
        ("admin", "view study", f"study_id {study}", "allowed"),
        ("admin", "log in", "", "opened"),
    ] == logged
    assert {"127.0.0.1"} == {entry.where for entry in entries()}


def test_an_action_that_cannot_be_logged_does_not_happen(admin, client, monkeypatch):
    """The entry is written before the action."""
    token = admin.token("/admin/accounts")

    def fail(*_: object) -> None:
        raise DatabaseError("INSERT", {}, RuntimeError("the disk is full"))

    monkeypatch.setattr(audit, "append", fail)
    answer = client.post(
        "/admin/accounts", data={"csrf_token": token, "name": "bob", "password": "long enough", "role": "admin"}
    )

    assert answer.status_code >= 500
    assert "bob" not in client.get("/admin/accounts").text


def test_the_database_refuses_to_change_or_delete_an_entry(admin):
    """The dashboard's database user cannot change the log."""
    for statement in ("UPDATE audit_log SET who = 'nobody'", "DELETE FROM audit_log"):
        with pytest.raises(DatabaseError, match="append only"), engine().begin() as connection:
            connection.execute(sql(statement))


def test_a_changed_or_missing_entry_breaks_the_chain(admin, client):
    """This detects a change by somebody who has dropped the triggers."""
    for _ in range(4):
        with transaction() as session:
            audit.append(session, audit.Event("admin", "127.0.0.1", "view study", "study_id 1"))
    assert "The chain is intact" in client.get("/admin/audit?check=1").text

    with reading() as session:
        entry = session.get(audit.AuditEntry, 3)
        entry.who = "somebody else"
        assert entry.sha256 != audit.digest(entry)
        session.expunge_all()
    with engine().begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(sql("DROP TRIGGER audit_log_update"))
        else:
            connection.execute(sql("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only"))
        connection.execute(sql("UPDATE audit_log SET who = 'somebody else' WHERE id = 3"))

    assert "The chain is broken at entry 3" in client.get("/admin/audit?check=1").text
