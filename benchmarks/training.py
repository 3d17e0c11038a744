"""Compares training from the cache of decoded films with a plain `model.fit` on arrays in memory.

Example: python benchmarks/training.py --films 4000 --pairs 7
"""  # noqa: INP001 - a script, in no package

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from model_training.data.dataset import Dataset, read
from model_training.data.films import Films
from model_training.networks.catalogue import CHANNELS, NETWORKS
from model_training.training import batches as feeding
from model_training.training.batches import Batches
from model_training.training.class_weights import sample_weights
from worker.models import backend

CLASSES = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")
#: The split of each tenth of the drawn films.
TENTHS = ("train",) * 8 + ("validation", "test")
BATCH_SIZE = 32
SAMPLING_SECONDS = 0.02


def draw(folder: Path, films: int, side: int) -> None:
    """Draw a training set of random clouds, since noise is rejected; the files are uncompressed, to be read fast."""
    random = np.random.default_rng(0)
    for number in range(films):
        split, name = TENTHS[number // len(CLASSES) % len(TENTHS)], CLASSES[number % len(CLASSES)]
        path = folder / split / name / f"{number:06}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(path)


def compiled(side: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Return v3 for grey films without augmentation: a fast network makes the cost of feeding it visible."""
    keras = backend.keras()
    keras.utils.set_random_seed(0)
    network = replace(NETWORKS["v3"], input_size=(side, side))
    films = keras.Input((side, side, 1), dtype="uint8")
    inner = network.build(network, len(CLASSES))
    model = keras.Model(films, inner(keras.layers.Concatenate()([films] * CHANNELS)))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=[])
    return model


class Stopwatch:
    """Measures each epoch, without the time before the first: (seconds, processor seconds of all cores)."""

    def __init__(self) -> None:
        """Start without measurements."""
        self.taken: list[tuple[float, float]] = []
        self._begun = (0.0, 0.0)

    def callback(self) -> Any:  # noqa: ANN401
        """Return a Keras callback that measures."""
        return backend.keras().callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: self._begin(), on_epoch_end=lambda *_: self._end()
        )

    @property
    def fastest(self) -> tuple[float, float]:
        """The smallest value of each over the epochs."""
        wall, work = zip(*self.taken, strict=True)
        return min(wall), min(work)

    def _begin(self) -> None:
        self._begun = (time.perf_counter(), time.process_time())

    def _end(self) -> None:
        self.taken.append((time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]))


def fit_bare(model: Any, films: Films, pixels: Any, epochs: int) -> tuple[float, float]:  # noqa: ANN401
    """Return the times of the fastest epoch of Keras's fit on arrays in memory."""
    stopwatch = Stopwatch()
    model.fit(
        pixels,
        films.labels,
        sample_weight=sample_weights(films.labels, 0.5),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=[stopwatch.callback()],
        verbose=0,
    )
    return stopwatch.fastest


def fit_cached(model: Any, films: Films, epochs: int) -> tuple[float, float]:  # noqa: ANN401
    """Return the times of the fastest epoch when training from the cache."""
    stopwatch = Stopwatch()
    batches = Batches(films, sample_weights(films.labels, 0.5), BATCH_SIZE, seed=0)
    feeding.fit(model, batches, epochs=epochs, callbacks=[stopwatch.callback()])
    return stopwatch.fastest


def speed(data: Dataset, side: int, pairs: int, epochs: int) -> dict[str, Any]:
    """Return images per second of both, measured in turns, and the ratios of each pair of turns with their median.

    `work_ratio` compares processor time for each image. Other programs hardly affect it, but it ignores idle cores.
    """
    films, model = data.splits["train"], compiled(side)
    in_memory = np.array(films.pixels)[..., None]
    turns = (lambda: fit_bare(model, films, in_memory, epochs), lambda: fit_cached(model, films, epochs))
    for turn in turns:  # The first turn is not counted, because it traces and compiles.
        turn()
    taken: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            taken[which].append(turns[which]())
    bare, cached = (np.array(side_of) for side_of in taken)
    wall, work = (bare / cached).T
    return {
        "bare": round(len(films) / statistics.median(bare[:, 0]), 1),
        "cached": round(len(films) / statistics.median(cached[:, 0]), 1),
        "ratio": round(statistics.median(wall), 4),
        "work_ratio": round(statistics.median(work), 4),
        "ratios": sorted(wall.round(3).tolist()),
        "work_ratios": sorted(work.round(3).tolist()),
        "pairs": pairs,
        "epochs_per_turn": epochs,
    }


def memory(folder: Path, side: int) -> dict[str, Any]:
    """Return the peak memory in bytes while this process decodes the films and trains an epoch on them."""
    anonymous: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING_SECONDS):
            status = Path("/proc/self/status").read_text()
            anonymous.append(int(status.split("RssAnon:")[1].split()[0]) * 1024)

    threading.Thread(target=sample, daemon=True).start()
    started = time.perf_counter()
    data = read(folder, (side, side))
    reading = time.perf_counter() - started
    peak_reading = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    fit_cached(compiled(side), data.splits["train"], 1)
    started = time.perf_counter()
    read(folder, (side, side))
    again = time.perf_counter() - started
    done.set()
    return {
        "films": sum(map(len, data.splits.values())),
        "seconds_to_decode": round(reading, 2),
        "seconds_to_read_again": round(again, 3),
        "peak_rss_bytes_reading": peak_reading,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_anonymous_bytes": max(anonymous),
        "pixels_bytes": sum(films.pixels.nbytes for films in data.splits.values()),
    }


def memory_of_its_own(folder: Path, side: int, scratch: Path) -> dict[str, Any]:
    """Measure memory in a separate process with a cache of its own."""
    answer = subprocess.run(  # noqa: S603 - this script
        [sys.executable, __file__, "--data", str(folder), "--side", str(side), "--memory-only"],
        env={**os.environ, "THORAQ_DATA_DIR": str(scratch / "memory")},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise click.ClickException(answer.stderr)
    figures: dict[str, Any] = json.loads(answer.stdout)
    return figures


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A training set.  [default: drawn]")
@click.option("--films", type=click.IntRange(min=240), default=4000, show_default=True, help="Films to draw.")
@click.option("--side", type=click.IntRange(min=64), default=64, show_default=True, help="Side of a film in pixels.")
@click.option(
    "--pairs", type=click.IntRange(min=0), default=7, show_default=True, help="Pairs of turns; 0 measures memory only."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Epochs of a turn, of which the fastest counts.",
)
@click.option("--memory-only", is_flag=True, hidden=True)
def main(  # noqa: PLR0913 - a command has as many parameters as options
    *, data: Path | None, films: int, side: int, pairs: int, epochs: int, memory_only: bool
) -> None:
    """Measure training from the cache against training from memory, and print JSON.

    Example: python benchmarks/training.py --films 17000 --pairs 0
    """
    if data and memory_only:
        click.echo(json.dumps(memory(data, side)))
        return
    with tempfile.TemporaryDirectory(prefix="thoraq-benchmark-") as scratch:
        os.environ["THORAQ_DATA_DIR"] = scratch
        if data is None:
            data = Path(scratch) / "films"
            draw(data, films, side)
        measured = {"network": "v3", "side": side, "batch_size": BATCH_SIZE, "cores": os.cpu_count()}
        measured["memory"] = memory_of_its_own(data, side, Path(scratch))
        if pairs:
            dataset = read(data, (side, side))
            measured |= {"n": len(dataset.splits["train"]), **speed(dataset, side, pairs, epochs)}
        click.echo(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
