"""Output of the subcommands: JSON alone on stdout, tables for people, progress on stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from worker import database
from worker.database import MAX_ROW_ID, reading
from worker.inputs.printable import printable
from worker.models.documents.document import Document

Result = TypeVar("Result")

#: The type of an argument that is a row's id.
ROW_ID = click.IntRange(1, MAX_ROW_ID)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else there.")


def print_json(value: object) -> None:
    """Print one value as JSON."""
    import json  # noqa: PLC0415

    def plain(part: object) -> object:
        if isinstance(part, Document):
            return part.stored()
        return part.model_dump(mode="json") if isinstance(part, BaseModel) else part

    value = [plain(part) for part in value] if isinstance(value, list) else plain(value)
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table for a person; in a pipe it has 200 columns. Cells are text: no markup, no controls."""
    table = Table(title=Text(printable(title)), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr; yield a function that takes the number of steps done so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the error of an unreachable database, or of one without a schema, into one line."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        reason = str(error.orig).splitlines()[0]
        raise click.ClickException(f"the database: {reason} (a new one needs `thoraq db upgrade`)") from error


def query_if_possible(query: Callable[[Session], Result], otherwise: str) -> Result | None:
    """Return the result of a query; None if there is no database or no schema yet, or the database does not answer.

    Args:
        query: takes a session that only reads.
        otherwise: what the command does instead; this ends the line on stderr about a database that fails.
    """
    if not database.exists():
        return None
    try:
        with reading() as session:
            return query(session)
    except (OperationalError, ProgrammingError) as error:
        reason = str(error.orig).splitlines()[0]
        click.echo(f"thoraq: the database does not answer ({reason}); {otherwise}", err=True)
        return None
