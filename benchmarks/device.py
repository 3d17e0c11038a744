"""The network alone on this machine's device and on its processor: the same probabilities, and how many films a second.

Example: KERAS_BACKEND=torch python benchmarks/device.py FOLDER --model worker/shipped/films
"""  # noqa: INP001 - a script, in no package

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from worker.decoding import Grey, decode
from worker.errors import RejectedImage
from worker.models.classifier import Classifier, device_name

#: The product's own largest.
BATCH_SIZE = 64
SECONDS = 3
#: For TensorFlow and PyTorch, and for JAX: compute as if there were no GPU.
PROCESSOR_ALONE = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--answers", type=click.Path(path_type=Path), help="Write the probabilities there, as an array.")
def main(folder: Path, model: Path, answers: Path | None) -> None:
    """Print as JSON the largest difference of any film's probability of any finding, and both rates."""
    classifier = Classifier.load(model, batch_size=BATCH_SIZE)
    films = np.stack(_films(folder, classifier))
    found = classifier.predict(films)
    told = {"device": device_name(), "films": len(films), "films_per_second": _rate(classifier, films)}
    if answers:
        with answers.open("wb") as file:
            np.save(file, found)
    elif not told["device"].endswith("cpu"):
        told |= _difference(folder, model, found)
    click.echo(json.dumps(told))


def _films(folder: Path, classifier: Classifier) -> list[Grey]:
    films = []
    for path in sorted(folder.iterdir()):
        try:
            films.append(classifier.prepare(decode(path.read_bytes())))
        except RejectedImage:  # What the detector refuses is asked on no device.
            continue
    return films


def _rate(classifier: Classifier, films: Grey) -> float:
    """Return films per second in full batches."""
    batch = films[np.arange(BATCH_SIZE) % len(films)]
    classifier.predict(batch)
    asked, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        classifier.predict(batch)
        asked += BATCH_SIZE
    return asked / (time.perf_counter() - started)


def _difference(folder: Path, model: Path, found: np.ndarray) -> dict[str, float]:
    """Ask another process, which sees no GPU, about the same films."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "answers.npy"
        command = [sys.executable, __file__, str(folder), "--model", str(model), "--answers", str(file)]
        done = subprocess.run(  # noqa: S603
            command, env=os.environ | PROCESSOR_ALONE, check=True, capture_output=True, text=True
        )
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["device"].endswith("cpu"), told["device"]  # noqa: S101
        return {
            "processor_films_per_second": told["films_per_second"],
            "largest_difference": float(np.abs(np.load(file) - found).max()),
        }


if __name__ == "__main__":
    main()
