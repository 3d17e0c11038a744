"""Accounts: hashes, names, passwords, and the commands that change them."""

import pytest
from click.testing import CliRunner

from dashboard.accounts import accounts
from dashboard.accounts.accounts import AccountError, Role
from dashboard.commands.users import user

LONG = "correct horse battery"


def test_a_password_is_stored_as_argon2id_only(database):
    """It is stored neither in clear nor with a weaker hash."""
    accounts.add("ada", LONG, Role.VIEWER, "production")

    stored = accounts.find("ada").password_hash

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("name", ["", ".ada", "ada lovelace", "a" * 65, "ada\0", "../ada", "<b>"])
def test_an_unfit_name_is_refused(database, name):
    """Names are shown, typed and logged."""
    with pytest.raises(AccountError, match="letters, digits"):
        accounts.add(name, LONG, Role.VIEWER, "production")


def test_a_name_is_given_once(database):
    """A constraint of the database ensures it."""
    accounts.add("ada", LONG, Role.VIEWER, "production")

    with pytest.raises(AccountError, match="already an account ada"):
        accounts.add("ada", LONG, Role.ADMIN, "production")


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 1025])
def test_a_short_or_endless_password_is_refused_in_production(database, password):
    """A password has 12 to 1024 characters."""
    with pytest.raises(AccountError, match="12 to 1024 characters"):
        accounts.add("ada", password, Role.VIEWER, "production")


def run(*arguments: str, given: str = ""):
    """Run `thoraq user` and return click's result."""
    return CliRunner().invoke(user, arguments, input=given)


def test_add_reads_a_password_from_standard_input(database):
    """A script sends it there."""
    result = run("add", "ada", "--role", "clinician", "--password-stdin", given=LONG + "\n")

    assert 0 == result.exit_code, result.output
    assert accounts.authenticate("ada", LONG, "production").role == Role.CLINICIAN


def test_add_asks_twice_for_a_password(database):
    """A person types it."""
    result = run("add", "ada", given=f"{LONG}\n{LONG}\n")

    assert 0 == result.exit_code, result.output
    assert accounts.authenticate("ada", LONG, "production").role == Role.VIEWER


def test_add_refuses_an_existing_name_unless_told_to_update(database):
    """`thoraq demo` updates its account; a mistyped name must not change another account."""
    run("add", "ada", "--password-stdin", given=LONG)

    again = run("add", "ada", "--role", "admin", "--password-stdin", given=LONG * 2)
    updated = run("add", "ada", "--role", "admin", "--password-stdin", "--or-update", given=LONG * 2)

    assert isinstance(again.exception, AccountError)
    assert 0 == updated.exit_code, updated.output
    assert accounts.authenticate("ada", LONG * 2, "production").role == Role.ADMIN


def test_passwd_changes_the_password(database):
    """The old password no longer works."""
    run("add", "ada", "--password-stdin", given=LONG)

    result = run("passwd", "ada", "--password-stdin", given="another long password")

    assert 0 == result.exit_code, result.output
    assert accounts.authenticate("ada", LONG, "production") is None
    assert accounts.authenticate("ada", "another long password", "production")


def test_role_changes_the_role(database):
    """The password stays the same."""
    run("add", "ada", "--password-stdin", given=LONG)

    result = run("role", "ada", "scientist")

    assert 0 == result.exit_code, result.output
    assert accounts.authenticate("ada", LONG, "production").role == Role.SCIENTIST


@pytest.mark.parametrize("arguments", [("passwd", "nobody", "--password-stdin"), ("role", "nobody", "admin")])
def test_an_unknown_account_is_reported(database, arguments):
    """The message has one line, which `thoraq` prints on stderr."""
    result = run(*arguments, given=LONG)

    assert "there is no account nobody" == str(result.exception)


@pytest.mark.parametrize(("name", "password"), [("ada lovelace", LONG), ("ada", "short")])
def test_an_unfit_name_or_password_is_bad_input(database, name, password):
    """The exit code is 2."""
    result = run("add", name, "--password-stdin", given=password)

    assert 2 == result.exit_code
    assert accounts.find(name) is None


def test_a_missing_schema_is_reported_in_one_line(data_dir):
    """The message names the command that creates it."""
    result = run("add", "ada", "--password-stdin", given=LONG)

    assert 1 == result.exit_code
    assert "thoraq db upgrade" in result.output


def test_an_unknown_role_is_bad_input(database):
    """The exit code is 2."""
    assert 2 == run("add", "ada", "--role", "king").exit_code
