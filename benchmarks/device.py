"""Measures the network alone on this machine's GPU and on its processor: both rates, and how far the results differ.

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

#: The default of THORAQ_BATCH_SIZE.
BATCH_SIZE = 64
SECONDS = 3
#: Hides the GPU from TensorFlow and PyTorch, and from JAX.
PROCESSOR_ALONE = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option(
    "--probabilities",
    "probabilities_path",
    type=click.Path(path_type=Path),
    help="Write the probabilities to this file, as a NumPy array.",
)
def main(folder: Path, model: Path, probabilities_path: Path | None) -> None:
    """Print both rates and the largest difference of any probability as JSON."""
    classifier = Classifier.load(model, batch_size=BATCH_SIZE)
    films = np.stack(_films(folder, classifier))
    probabilities = classifier.predict(films)
    figures = {"device": device_name(), "films": len(films), "films_per_second": _rate(classifier, films)}
    if probabilities_path:
        with probabilities_path.open("wb") as file:
            np.save(file, probabilities)
    elif not figures["device"].endswith("cpu"):
        figures |= _difference(folder, model, probabilities)
    click.echo(json.dumps(figures))


def _films(folder: Path, classifier: Classifier) -> list[Grey]:
    films = []
    for path in sorted(folder.iterdir()):
        try:
            films.append(classifier.prepare(decode(path.read_bytes())))
        except RejectedImage:  # The film check rejects a few real films; both devices leave them out.
            continue
    return films


def _rate(classifier: Classifier, films: Grey) -> float:
    """Return films per second in full batches."""
    batch = films[np.arange(BATCH_SIZE) % len(films)]
    classifier.predict(batch)
    predicted, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        classifier.predict(batch)
        predicted += BATCH_SIZE
    return predicted / (time.perf_counter() - started)


def _difference(folder: Path, model: Path, probabilities: np.ndarray) -> dict[str, float]:
    """Predict the same films in another process without a GPU, and compare."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "probabilities.npy"
        command = [sys.executable, __file__, str(folder), "--model", str(model), "--probabilities", str(file)]
        done = subprocess.run(  # noqa: S603
            command, env=os.environ | PROCESSOR_ALONE, check=True, capture_output=True, text=True
        )
        on_processor = json.loads(done.stdout.splitlines()[-1])
        assert on_processor["device"].endswith("cpu"), on_processor["device"]  # noqa: S101
        return {
            "processor_films_per_second": on_processor["films_per_second"],
            "largest_difference": float(np.abs(np.load(file) - probabilities).max()),
        }


if __name__ == "__main__":
    main()
