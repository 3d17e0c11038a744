"""`thoraq models`: lists, imports and activates model versions."""

import getpass
from pathlib import Path

import click
from pydantic import JsonValue
from sqlalchemy import select

from worker.commands.console import database_errors, json_option, print_json, print_table
from worker.database import reading, transaction
from worker.models import promotion, registry
from worker.models.directory import SHIPPED
from worker.models.documents.evaluation import Headline
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
        versions = list(session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())))
    if as_json:
        print_json([_listed(row, active=active is not None and row.id == active.id) for row in versions])
        return
    tests = {row.id: row.card.metrics.get("test", Headline()) for row in versions}
    print_table(
        "model versions",
        ("version", "active", "trained on", "test accuracy", "test n", "registered"),
        [
            (row.version, "active" if active and row.id == active.id else "", row.card.trained_on,
             None if tests[row.id].accuracy is None else f"{tests[row.id].accuracy:.3f}",
             tests[row.id].n, row.registered_at.isoformat())
            for row in versions
        ],
    )  # fmt: skip


def _listed(row: ModelVersion, *, active: bool) -> dict[str, JsonValue]:
    test = row.card.metrics.get("test")
    return {
        "version": row.version,
        "active": active,
        "network": row.card.network,
        "trained_on": row.card.trained_on,
        "classes": list(row.card.classes),
        "test": test.stored() if test else None,
        "registered_at": row.registered_at.isoformat(),
    }


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
        gate = promotion.latest(session, row.id)
        judged = {"judged_at": gate.judged_at.isoformat(), **gate.verdict.stored()} if gate else None
    card = row.card.stored()
    if as_json:
        print_json({"card": card, "report": row.report.stored(), "gate": judged})
        return
    print_table(row.version, ("", ""), card.items())
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
        row = promotion.rollback(session, by=getpass.getuser())
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
