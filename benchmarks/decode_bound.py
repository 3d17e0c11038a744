"""Measures decoding and resizing on all cores, without network and queue: the upper bound of any system.

Example: python benchmarks/decode_bound.py FOLDER --model worker/shipped/v3
"""  # noqa: INP001 - a script, in no package

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from worker.decoding import decode, resize
from worker.models.directory import read_card


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
def main(folder: Path, model: Path) -> None:
    """Print films per second as JSON; reading the files is included."""
    size, films = read_card(model).input_size, sorted(folder.iterdir())

    def prepare(path: Path) -> None:
        resize(decode(path.read_bytes()), size)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(prepare, films[:16]))
        started = time.perf_counter()
        list(threads.map(prepare, films))
        seconds = time.perf_counter() - started
    click.echo(json.dumps({"films_per_second": len(films) / seconds}))


if __name__ == "__main__":
    main()
