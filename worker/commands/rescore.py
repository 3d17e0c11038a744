"""`thoraq rescore`: scores studies of an earlier version again with the active one."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from worker.commands.console import ROW_ID, database_errors, json_option, print_json
from worker.settings import settings
from worker.studies import rescoring


@click.command()
@click.argument("studies", nargs=-1, type=ROW_ID)
@click.option("--since", type=click.DateTime(), help="Studies with a film that was finished at this time or later.")
@click.option("--until", type=click.DateTime(), help="Studies with a film that was finished before this time.")
@json_option
def rescore(*, studies: tuple[int, ...], since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Score STUDIES, or all studies of a period, again with the active version, after all waiting films.

    Earlier results are kept; a film that can no longer be read keeps its last one. Times are in THORAQ_TIMEZONE.

    Example: thoraq rescore --since 2026-11-01 --until 2026-11-08
    """
    if not studies and since is None and until is None:
        raise click.UsageError("give studies, --since or --until")
    zone = ZoneInfo(settings().timezone)
    with database_errors():
        films = rescoring.request(
            studies or None,
            since=since.replace(tzinfo=zone) if since else None,
            until=until.replace(tzinfo=zone) if until else None,
        )
    if as_json:
        print_json({"films": films})
    else:
        click.echo(f"{films} films wait to be scored again")
