"""`thoraq explain`: the heat map of a scored film, drawn by a worker."""

import shutil
import time
from pathlib import Path

import click

from worker.commands.console import ROW_ID, database_errors
from worker.database import reading
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import heat_map_path
from worker.scoring.records import HeatMap, HeatMapState
from worker.settings import settings

POLL_SECONDS = 0.3


@click.command()
@click.argument("image_id", type=ROW_ID)
@click.option("--finding", required=True, help="One of the findings of the film's model.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="PNG file to write.")
@click.option(
    "--wait-seconds", type=click.FloatRange(0), default=60, show_default=True, help="How long to wait for a worker."
)
def explain(image_id: int, finding: str, out: Path, wait_seconds: float) -> None:
    """Write the heat map of a finding as a PNG to lay over the film; its grey and alpha values are the heat.

    Example: thoraq explain 17 --finding Effusions --out heat.png
    """
    with database_errors():
        row = heat_map_requests.request(image_id, finding)
        if row is None:
            raise click.UsageError(f"image {image_id} is not scored, or its model does not have the finding {finding}")
        drawn = _wait(image_id, finding, time.monotonic() + wait_seconds)
    if drawn is None:
        raise click.ClickException(f"no worker drew it within {wait_seconds:g} s; try again later")
    if drawn.state == HeatMapState.FAILED:
        raise click.ClickException(f"there is no heat map: {drawn.detail}")
    prediction = drawn.prediction
    version = prediction.model_version.version
    shutil.copyfile(heat_map_path(settings().heat_maps_dir, prediction.image_sha256, version, finding), out)


def _wait(image_id: int, finding: str, deadline: float) -> HeatMap | None:
    """Return the heat map when it is done or has failed; None when the deadline passes."""
    while True:
        with reading() as session:
            row = heat_map_requests.find(session, image_id, finding)
        if row is not None and row.state != HeatMapState.ASKED:
            return row
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)
