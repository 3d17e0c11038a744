"""`thoraq bench`: throughput on this machine, beside references measured at the same time; needs a checkout."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
from PIL import Image, UnidentifiedImageError
from sqlalchemy import URL, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from worker.commands.console import json_option, print_json, print_table, progress
from worker.commands.model_choice import resolve
from worker.demo.embedded_redis import EmbeddedRedis
from worker.films.phantoms import FINDINGS, draw
from worker.settings import CHECKOUT

#: The film formats that are measured separately, by Pillow's names.
FORMATS = {"PNG": "png", "JPEG": "jpeg"}
REFERENCES = ("decode_bound", "bare_loop", "system", "plain_celery")
#: Random bytes after the end of a film, which decoders ignore: films with equal contents would be scored once.
SALT_BYTES = 16
LOOPBACK_POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432"
PHANTOMS = 8
PHANTOM_SIDE_PIXELS = 1024


@click.command()
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of films.  [default: phantoms]",
)
@click.option("--model", default="v3", show_default=True, help="As for `thoraq score`.")
@click.option(
    "--films",
    default=2000,
    show_default=True,
    help="Copies per format and round; with few copies the ratios are lower.",
)
@click.option(
    "--rounds", default=3, show_default=True, help="Rounds; each measures everything, and ratios are medians over them."
)
@click.option(
    "--postgres",
    "postgres_url",
    envvar="THORAQ_BENCH_POSTGRES_URL",
    help="URL of a PostgreSQL server for a temporary database.",
)
@json_option
def bench(images: Path | None, model: str, films: int, rounds: int, postgres_url: str | None, *, as_json: bool) -> None:
    """Measure films per second: the whole system, the bare loop, decoding alone, and a plain Celery worker.

    It starts a Redis server and creates a temporary database: on PostgreSQL if `--postgres` names a server or one on
    this machine accepts connections without a password, else on SQLite.

    Example: thoraq bench --images films/ --json
    """
    scripts = CHECKOUT / "benchmarks"
    if not scripts.is_dir():
        raise click.UsageError("this needs the folder `benchmarks/` of a checkout")
    with tempfile.TemporaryDirectory(prefix="thoraq-bench-") as directory:
        work = Path(directory)
        folders = _copies(images, films, work / "films")
        with EmbeddedRedis(work / "redis") as redis, progress("measuring", rounds * len(folders) * 4) as show:
            measured: dict[str, list[dict[str, float]]] = defaultdict(list)
            server = postgres_url or _answering(LOOPBACK_POSTGRES)
            for _ in range(rounds):
                for name, folder in folders.items():
                    round_: dict[str, float] = {}
                    for reference in REFERENCES:
                        with _database(server, work) as database_url:
                            environment = _environment(work, redis.url, database_url, folder)
                            round_[reference] = _run(scripts / f"{reference}.py", folder, resolve(model), environment)
                        show(sum(map(len, measured.values())) * 4 + len(round_))
                    measured[name].append(round_)
    summary = _summary(measured, model=resolve(model).name, database="postgresql" if server else "sqlite", films=films)
    if as_json:
        print_json(summary)
    else:
        _show(summary)


def _copies(images: Path | None, films: int, work: Path) -> dict[str, Path]:
    """Write `films` copies for each format that occurs, all with different bytes; return the folder of each format."""
    by_format: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(path for path in (images.rglob("*") if images else _phantoms(work)) if path.is_file()):
        try:
            with Image.open(path) as image:
                name = FORMATS.get(image.format or "")
        except UnidentifiedImageError:
            continue
        if name:
            by_format[name].append(path.read_bytes())
    if not by_format:
        raise click.UsageError("there is no PNG or JPEG film to measure with")
    folders = {}
    for name, contents in by_format.items():
        folder = folders[name] = work / name
        folder.mkdir(parents=True)
        for number in range(films):
            salted = contents[number % len(contents)] + secrets.token_bytes(SALT_BYTES)
            (folder / f"{number:06}.{name}").write_bytes(salted)
    return folders


def _phantoms(work: Path) -> Iterator[Path]:
    """Draw a few phantoms at a radiograph's size, as PNG and as JPEG."""
    work.mkdir(parents=True)
    for number in range(PHANTOMS):
        finding = list(FINDINGS)[number % len(FINDINGS)]
        large = Image.fromarray(draw(finding, number))
        large = large.resize((PHANTOM_SIDE_PIXELS, PHANTOM_SIDE_PIXELS), Image.Resampling.BICUBIC)
        for suffix in FORMATS.values():
            path = work / f"phantom-{number}.{suffix}"
            large.save(path)
            yield path


def _environment(work: Path, broker_url: str, database_url: str, folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("THORAQ_")}
    return own | {
        "THORAQ_MODE": "demo",
        "THORAQ_DATA_DIR": str(work / "data"),
        "THORAQ_BROKER_URL": broker_url,
        "THORAQ_DATABASE_URL": database_url,
        "THORAQ_IMAGE_ROOTS": json.dumps({"films": str(folder)}),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _answering(server: str) -> str | None:
    """Return the server's URL if it accepts a connection."""
    engine = create_engine(server, connect_args={"connect_timeout": 2})
    try:
        with engine.connect():
            return server
    except OperationalError:
        return None
    finally:
        engine.dispose()


@contextmanager
def _database(server: str | None, work: Path) -> Iterator[str]:
    """Yield the URL of an empty database, which is dropped afterwards."""
    shutil.rmtree(work / "data", ignore_errors=True)
    (work / "data").mkdir()
    if server is None:
        yield URL.create("sqlite", database=str(work / "data" / "thoraq.db")).render_as_string()
        return
    name = f"thoraq_bench_{secrets.token_hex(4)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        admin.dispose()


def _run(script: Path, folder: Path, model: Path, environment: Mapping[str, str]) -> float:
    """Run a reference and return its films per second."""
    command = [sys.executable, str(script), str(folder), "--model", str(model)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise click.ClickException(f"{script.name} failed: {lines[-1]}")
    return float(json.loads(done.stdout.splitlines()[-1])["films_per_second"])


def _summary(measured: Mapping[str, list[dict[str, float]]], **about: object) -> dict[str, Any]:
    """Return the medians, and the ratios of the system to each reference of the same round."""
    formats = {
        name: {reference: median(round_[reference] for round_ in rounds) for reference in REFERENCES}
        | {
            f"system_to_{reference}": median(round_["system"] / round_[reference] for round_ in rounds)
            for reference in REFERENCES
            if reference != "system"
        }
        for name, rounds in measured.items()
    }
    return {**about, "cores": os.cpu_count(), "unit": "films per second", "formats": formats, "rounds": dict(measured)}


def _show(summary: Mapping[str, Any]) -> None:
    print_table(
        f"films per second: {summary['model']}, {summary['database']}, {summary['cores']} cores",
        ("format", *REFERENCES, *(f"system / {name}" for name in REFERENCES if name != "system")),
        [
            (name, *(f"{value:.1f}" if key in REFERENCES else f"{value:.2f}" for key, value in row.items()))
            for name, row in summary["formats"].items()
        ],
    )
