"""`thoraq user`: accounts on the command line."""

import sys

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
    """A group whose commands report errors of the database or of their arguments in one line."""

    def invoke(self, context: click.Context) -> object:
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
@click.option(
    "--or-update", is_flag=True, help="Change the password and role of an existing account instead of failing."
)
def add(name: str, role: str, *, password_stdin: bool, or_update: bool) -> None:
    """Add the account NAME."""
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
    """Change the password of the account NAME and end its sessions."""
    _require_account(name)
    accounts.change_password(name, _read_password(stdin=password_stdin), settings().mode)
    click.echo(f"Changed the password of {name}.")


@user.command(epilog="Example: thoraq user role alice scientist")
@click.argument("name")
@click.argument("role", type=_role)
def role(name: str, role: str) -> None:
    """Change the role of the account NAME to ROLE and end its sessions."""
    accounts.change_role(name, Role(role))
    click.echo(f"{name} is now {role}.")


def _require_account(name: str) -> None:
    """Fail before a password is typed for an account that does not exist."""
    if accounts.find(name) is None:
        raise AccountError(f"there is no account {name}")


def _read_password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
