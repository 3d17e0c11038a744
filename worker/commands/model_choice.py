"""The option `--model`: a file, a registered version, the paper's network, or `active`."""

from pathlib import Path

import click

from worker.commands.console import database_errors, query_if_possible
from worker.database import reading
from worker.models import registry
from worker.models.directory import MODEL_FILE, SHIPPED_FILMS, SHIPPED_PAPER, verified
from worker.models.records import ModelVersion
from worker.settings import settings

model_option = click.option(
    "--model",
    default="active",
    show_default=True,
    help="A model directory or its file, a registered version, `v3` (the paper's network as shipped), or `active`.",
)


def resolve(choice: str) -> Path:
    """Return the model directory of a choice; without a database, `active` is the shipped film model.

    Raises:
        click.UsageError: there is no such file or version.
        ModelUnavailable: the files of a registered version differ from the registered ones.
    """
    if choice == "active":
        return _active() or SHIPPED_FILMS
    if choice == SHIPPED_PAPER.name:
        return SHIPPED_PAPER
    path = Path(choice)
    if path.is_file() and path.name == MODEL_FILE:
        return path.parent
    if path.is_dir():
        return path
    with database_errors(), reading() as session:
        row = registry.find(session, choice)
        if row is None:
            raise click.UsageError(
                f"{choice} is neither a model directory, nor a {MODEL_FILE}, nor a registered version"
            )
    return _directory(row)


def _active() -> Path | None:
    """Return the active version's directory, or None if the database, its schema or an active version is missing."""
    row = query_if_possible(registry.active, "using the shipped model")
    return _directory(row) if row else None


def _directory(row: ModelVersion) -> Path:
    directory = settings().models_dir / row.version
    verified(directory, row.card)
    return directory
