"""Measures decoding and the network, which overlap, without the queue and the database that a worker adds.

Example: python benchmarks/bare_loop.py FOLDER --model worker/shipped/v3
"""  # noqa: INP001 - a script, in no package

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import click
import numpy as np

from worker.decoding import Grey, decode
from worker.errors import RejectedImage
from worker.models.classifier import Classifier

#: The default of THORAQ_BATCH_SIZE.
BATCH_SIZE = 64


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
def main(folder: Path, model: Path) -> None:
    """Print films per second as JSON; threads decode in advance while the network runs."""
    classifier, films = Classifier.load(model, batch_size=BATCH_SIZE), sorted(folder.iterdir())
    classifier.predict(np.zeros((BATCH_SIZE, *classifier.card.input_size), np.uint8))

    def prepare(path: Path) -> Grey | None:
        try:
            return classifier.prepare(decode(path.read_bytes()))
        except RejectedImage:  # The film check rejects a few real films after they are decoded.
            return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda path: decode(path.read_bytes()), films[:16]))
        started = time.perf_counter()
        prepared = threads.map(prepare, films)
        while batch := list(islice(prepared, BATCH_SIZE)):
            if accepted := [film for film in batch if film is not None]:
                classifier.predict(np.stack(accepted))
        seconds = time.perf_counter() - started
    click.echo(json.dumps({"films_per_second": len(films) / seconds}))


if __name__ == "__main__":
    main()
