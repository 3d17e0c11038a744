"""`thoraq db`: the schema."""

import click
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from worker.commands.console import database_errors


def alembic_config() -> Config:
    """Return Alembic's configuration: the scripts are the installed package `migrations`."""
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    return config


@click.group()
def db() -> None:
    """Bring the database's schema up to date, or check it.

    Example: thoraq db upgrade
    """


@db.command()
def upgrade() -> None:
    """Apply every migration that is missing; safe to run again.

    Example: thoraq db upgrade
    """
    with database_errors():
        command.upgrade(alembic_config(), "head")


@db.command()
def check() -> None:
    """Fail if the schema is not the one that this version needs.

    Example: thoraq db check
    """
    try:
        with database_errors():
            command.check(alembic_config())
    except CommandError as error:
        raise click.ClickException(str(error)) from error
