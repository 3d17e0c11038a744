"""`thoraq models`: lists, imports and activates model versions."""

import getpass
from pathlib import Path

import click
from sqlalchemy import select

from worker.commands.console import database_errors, json_option, print_json, print_table
from worker.database import reading, transaction
from worker.models import promotion, registry
from worker.models.directory import SHIPPED
from worker.models.promotion import NotPassed
from worker.models.records import ModelVersion
from worker.settings import settings


@click.group()
def models() -> None:
    """List, show, promote, roll back and import model versions.

    Example: thoraq models promote v3-0123456789ab
    """


@models.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the registered versions, newest first.

    Example: thoraq models list --json
    """
    with database_errors(), reading() as session:
        active = registry.active(session)
        rows = [
            {
                "version": row.version,
                "active": active is not None and row.id == active.id,
                "network": row.card["network"],
                "trained_on": row.card["trained_on"],
                "classes": row.card["classes"],
                "test": row.card["metrics"].get("test"),
                "registered_at": row.registered_at.isoformat(),
            }
            for row in session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc()))
        ]
    if as_json:
        print_json(rows)
        return
    print_table(
        "model versions",
        ("version", "active", "trained on", "test accuracy", "test n", "registered"),
        [
            (row["version"], "active" if row["active"] else "", row["trained_on"],
             None if not row["test"] else f"{row['test']['accuracy']:.3f}",
             None if not row["test"] else row["test"]["n"], row["registered_at"])
            for row in rows
        ],
    )  # fmt: skip


@models.command()
@click.argument("version", default="active")
@json_option
def show(version: str, *, as_json: bool) -> None:
    """Show the card of a version.

    Example: thoraq models show active
    """
    with database_errors(), reading() as session:
        row = registry.active(session) if version == "active" else registry.find(session, version)
        if row is None:
            raise click.UsageError(f"there is no version {version}")
        found = promotion.latest(session, row.id)
        judged = {"judged_at": found.judged_at.isoformat(), **found.verdict} if found else None
    if as_json:
        print_json({"card": row.card, "report": row.report, "gate": judged})
        return
    print_table(row.version, ("", ""), row.card.items())
    if judged:
        print_table("the gate's verdict", ("", ""), judged.items())
    else:
        click.echo("the gate never judged it")


@models.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Promote it although the gate does not support it; this is recorded.")
def promote(version: str, *, force: bool) -> None:
    """Make a version active; running workers load it before their next batch.

    A candidate of a retraining must have passed the gate against the version that is active now.

    Example: thoraq models promote v3-0123456789ab
    """
    try:
        with database_errors(), transaction() as session:
            row, against = promotion.promote(session, version, getpass.getuser(), force=force)
    except NotPassed as error:
        raise click.ClickException(f"{error} (--force promotes it anyway)") from error
    if against:
        click.echo(f"thoraq: the gate does not support {row.version}: {'; '.join(against)}", err=True)
    click.echo(f"{row.version} is active")


@models.command()
def rollback() -> None:
    """Activate the version that the active one replaced.

    Example: thoraq models rollback
    """
    with database_errors(), transaction() as session:
        row = registry.rollback(session, by=getpass.getuser())
    click.echo(f"{row.version} is active")


@models.command("import")
@click.argument("directories", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def import_models(directories: tuple[Path, ...]) -> None:
    """Register model directories; without arguments, the models that come with Thoraq.

    If no version is active yet, the first one imported becomes active.

    Example: thoraq models import candidates/v3-0123456789ab
    """
    for directory in directories or SHIPPED:
        with database_errors(), transaction() as session:
            row = registry.import_model(session, directory, settings().models_dir)
        click.echo(row.version)
