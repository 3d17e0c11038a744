"""`thoraq messages`: lists messages that no process could run, and writes their bytes."""

from typing import BinaryIO

import click

from worker.commands.console import ROW_ID, database_errors, json_option, print_json, print_table
from worker.database import reading
from worker.submissions import set_aside_messages


@click.group()
def messages() -> None:
    """List the messages that no process could run, or write the bytes of one.

    Example: thoraq messages list
    """


@messages.command(name="list")
@click.option("--limit", type=click.IntRange(1, set_aside_messages.KEPT), default=50, show_default=True)
@json_option
def list_(limit: int, *, as_json: bool) -> None:
    """List the messages that were set aside, newest first.

    Example: thoraq messages list --json
    """
    with database_errors(), reading() as session:
        found = set_aside_messages.listed(session, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        "messages set aside",
        ("message", "place", "flaw", "bytes", "source", "request", "set aside", "SHA-256"),
        [
            (one.id, one.place, one.flaw, one.size, one.source, one.request_id,
             one.set_aside_at.isoformat(timespec="seconds"), one.sha256)
            for one in found
        ],
    )  # fmt: skip


@messages.command(name="show")
@click.argument("message", type=ROW_ID)
@click.option("--out", type=click.File("wb"), required=True, help="File for the bytes.")
def show(message: int, *, out: BinaryIO) -> None:
    """Write the first 16 KiB of a message to a file, as they stood in Redis. They may identify a patient.

    Example: thoraq messages show 7 --out message.bin
    """
    with database_errors(), reading() as session:
        head = set_aside_messages.head(session, message)
    if head is None:
        raise click.UsageError(f"no message {message} is kept")
    out.write(head)
