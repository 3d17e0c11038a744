"""`thoraq exports`: lists what is owed to archives and what became of it, sends it again, or cancels it."""

from datetime import datetime

import click
from pydantic import BaseModel
from sqlalchemy.orm import Session

from worker.commands.console import ROW_ID, database_errors, json_option, print_json, print_table
from worker.database import reading, transaction
from worker.hospital import exports as outbox
from worker.hospital.export_records import Export
from worker.hospital.records import ArrivalPart

STATES = click.Choice(["owed", "sent", "refused", "cancelled"])


class ListedExport(BaseModel):
    """One export."""

    export_id: int
    part_id: int
    destination: str
    kind: str
    number: int
    state: str
    attempts: int
    trouble: str | None
    next_at: datetime | None
    sent_at: datetime | None
    refused_at: datetime | None
    sop_instance_uid: str | None


class ListedPause(BaseModel):
    """A destination that failed last."""

    destination: str
    until: datetime
    failures: int
    misconfigured: bool
    trouble: str


@click.group(name="exports")
def exports() -> None:
    """List the results that are owed to archives, send some again, or cancel them.

    Example: thoraq exports list --state refused
    """


@exports.command(name="list")
@click.option("--destination", help="Only those for this destination.")
@click.option("--part", type=ROW_ID, help="Only those of this part of a study.")
@click.option("--state", type=STATES, help="Only those in this state.")
@json_option
def list_(destination: str | None, part: int | None, state: str | None, *, as_json: bool) -> None:
    """List exports, oldest first, and the destinations that rest.

    Example: thoraq exports list --destination pacs
    """
    with database_errors(), reading() as session:
        found = [
            _listed(export)
            for export in outbox.select_exports(session, destination=destination, part_id=part, state=state)
        ]
        resting = [ListedPause.model_validate(row, from_attributes=True) for row in outbox.pauses(session)]
    if as_json:
        print_json({"exports": [row.model_dump(mode="json") for row in found],
                    "resting": [row.model_dump(mode="json") for row in resting]})  # fmt: skip
        return
    print_table(
        "exports",
        ("export", "part", "destination", "object", "state", "attempts", "trouble", "next attempt"),
        [
            (row.export_id, row.part_id, row.destination, row.kind, row.state, row.attempts, row.trouble,
             row.next_at.isoformat(timespec="seconds") if row.next_at else None)
            for row in found
        ],
    )  # fmt: skip
    if resting:
        print_table(
            "destinations that rest",
            ("destination", "until", "failures", "trouble", "cause"),
            [
                (row.destination, row.until.isoformat(timespec="seconds"), row.failures, row.trouble,
                 "set-up" if row.misconfigured else "outage")
                for row in resting
            ],
        )  # fmt: skip


def _listed(export: Export) -> ListedExport:
    return ListedExport(
        export_id=export.id,
        **{name: getattr(export, name) for name in ListedExport.model_fields if name != "export_id"},
    )


@exports.command()
@click.argument("export", required=False, type=ROW_ID)
@click.option("--destination", help="All refused ones for this destination.")
@click.option("--part", type=ROW_ID, help="Send the newest result of this part as a replacement of what was sent.")
@json_option
def replay(export: int | None, destination: str | None, part: int | None, *, as_json: bool) -> None:
    """Try a refused or cancelled export again, or send a part's result anew, for example after it was rescored.

    A destination that rests is called at once.

    Example: thoraq exports replay --destination pacs
    """
    if sum(choice is not None for choice in (export, destination, part)) != 1:
        raise click.UsageError("give an export's number, --destination or --part")
    with database_errors(), transaction() as session:
        if part:
            count = _replace(session, part)
        else:
            found = [_find(session, export)] if export else []
            if destination:
                found = list(outbox.select_exports(session, destination=destination, state="refused"))
            for row in found:
                if row.sent_at:
                    raise click.UsageError(f"export {row.id} was sent; --part {row.part_id} sends a replacement")
                outbox.replay(session, row)
            count = len(found)
    _say(count, "are tried again", as_json=as_json)


@exports.command()
@click.argument("export", required=False, type=ROW_ID)
@click.option("--destination", help="All that are owed to this destination.")
@json_option
def cancel(export: int | None, destination: str | None, *, as_json: bool) -> None:
    """Stop trying what is owed. What is being sent at this moment may still arrive.

    Example: thoraq exports cancel --destination pacs
    """
    if (export is None) == (destination is None):
        raise click.UsageError("give an export's number or --destination")
    with database_errors(), transaction() as session:
        found = [_find(session, export)] if export else []
        if destination:
            found = list(outbox.select_exports(session, destination=destination, state="owed"))
        owed = [row for row in found if row.next_at]
        for row in owed:
            outbox.cancel(row)
    _say(len(owed), "are cancelled", as_json=as_json)


def _find(session: Session, export_id: int) -> Export:
    row = session.get(Export, export_id, with_for_update=True)
    if row is None:
        raise click.UsageError(f"there is no export {export_id}")
    return row


def _replace(session: Session, part_id: int) -> int:
    part = session.get(ArrivalPart, part_id)
    if part is None:
        raise click.UsageError(f"there is no part {part_id}")
    return outbox.replace(session, part)


def _say(count: int, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"exports": count})
    else:
        click.echo(f"{count} exports {what}")
