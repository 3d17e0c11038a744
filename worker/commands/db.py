"""`thoraq db`: upgrades and checks the schema of the database."""

import click
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from worker.commands.console import database_errors


def alembic_config() -> Config:
    """Return Alembic's configuration, with the scripts of the installed package `migrations`."""
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    return config


@click.group()
def db() -> None:
    """Upgrade the database's schema, or check it.

    Example: thoraq db upgrade
    """


@db.command()
def upgrade() -> None:
    """Apply the migrations that are missing; it can be run again at any time.

    Example: thoraq db upgrade
    """
    with database_errors():
        command.upgrade(alembic_config(), "head")


@db.command()
def check() -> None:
    """Fail unless the schema is that of this version.

    Example: thoraq db check
    """
    try:
        with database_errors():
            command.check(alembic_config())
    except CommandError as error:
        raise click.ClickException(str(error)) from error
