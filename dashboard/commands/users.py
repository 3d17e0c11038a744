"""`thoraq user`: accounts from the command line, the only place where they are made."""

import sys
from typing import Any

import click

from dashboard.accounts import accounts
from dashboard.accounts.accounts import AccountError, Role, UnfitAccount
from worker.commands.console import database_errors
from worker.settings import settings

_role = click.Choice([role.value for role in Role])
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)


class _Accounts(click.Group):
    """A group whose commands say in one line what is wrong: with the database, or with what was typed."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401
        """Run the command."""
        try:
            with database_errors():
                return super().invoke(context)
        except UnfitAccount as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=_Accounts, epilog="Example: thoraq user add alice --role clinician")
def user() -> None:
    """Add accounts, change their passwords and roles."""


@user.command(epilog="Example: thoraq user add pacs-north --role upstream --password-stdin < password.txt")
@click.argument("name")
@click.option("--role", type=_role, default=Role.VIEWER.value, show_default=True, help="What the account may do.")
@_password_stdin
@click.option("--or-update", is_flag=True, help="Give an existing account this password and role instead of failing.")
def add(name: str, role: str, *, password_stdin: bool, or_update: bool) -> None:
    """Make the account NAME."""
    password = _read_password(stdin=password_stdin)
    mode = settings().mode
    if or_update and accounts.find(name):
        accounts.change_password(name, password, mode)
        accounts.change_role(name, Role(role))
        click.echo(f"Updated the account {name} ({role}).")
        return
    accounts.add(name, password, Role(role), mode)
    click.echo(f"Added the account {name} ({role}).")


@user.command(epilog="Example: thoraq user passwd alice")
@click.argument("name")
@_password_stdin
def passwd(name: str, *, password_stdin: bool) -> None:
    """Give the account NAME another password; its sessions end."""
    _demand(name)
    accounts.change_password(name, _read_password(stdin=password_stdin), settings().mode)
    click.echo(f"Changed the password of {name}.")


@user.command(epilog="Example: thoraq user role alice scientist")
@click.argument("name")
@click.argument("role", type=_role)
def role(name: str, role: str) -> None:
    """Give the account NAME the role ROLE; its sessions end."""
    accounts.change_role(name, Role(role))
    click.echo(f"{name} is now {role}.")


def _demand(name: str) -> None:
    """Fail before a password is typed for nobody."""
    if accounts.find(name) is None:
        raise AccountError(f"there is no account {name}")


def _read_password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
