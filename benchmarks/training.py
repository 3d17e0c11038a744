"""What feeding a network from the cache of decoded films costs against a bare `model.fit` on arrays in memory.

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
from model_training.training.fit import sample_weights
from worker.models import backend

CLASSES = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")
#: Of the drawn films, the splits in which each tenth lies.
TENTHS = ("train",) * 8 + ("validation", "test")
BATCH_SIZE = 32
SAMPLING_SECONDS = 0.02


def draw(folder: Path, films: int, side: int) -> None:
    """Write seeded clouds as a training set, since noise is no film; uncompressed, so that reading it is quick."""
    random = np.random.default_rng(0)
    for number in range(films):
        split, name = TENTHS[number // len(CLASSES) % len(TENTHS)], CLASSES[number % len(CLASSES)]
        path = folder / split / name / f"{number:06}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(path)


def compiled(side: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Return v3 for grey films, without augmentation: the less the network computes, the more feeding it counts."""
    keras = backend.keras()
    keras.utils.set_random_seed(0)
    network = replace(NETWORKS["v3"], input_size=(side, side))
    films = keras.Input((side, side, 1), dtype="uint8")
    inner = network.build(network, len(CLASSES))
    model = keras.Model(films, inner(keras.layers.Concatenate()([films] * CHANNELS)))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=[])
    return model


class Stopwatch:
    """Takes the time of each epoch, without what comes before the first: (seconds, seconds of all cores' work)."""

    def __init__(self) -> None:
        """Have no time taken."""
        self.taken: list[tuple[float, float]] = []
        self._begun = (0.0, 0.0)

    def callback(self) -> Any:  # noqa: ANN401
        """Return this as Keras takes it."""
        return backend.keras().callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: self._begin(), on_epoch_end=lambda *_: self._end()
        )

    @property
    def quickest(self) -> tuple[float, float]:
        """The least of each over the epochs."""
        wall, work = zip(*self.taken, strict=True)
        return min(wall), min(work)

    def _begin(self) -> None:
        self._begun = (time.perf_counter(), time.process_time())

    def _end(self) -> None:
        self.taken.append((time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]))


def fit_bare(model: Any, films: Films, pixels: Any, epochs: int) -> tuple[float, float]:  # noqa: ANN401
    """Return the time of the quickest epoch of Keras's own fit on arrays in memory."""
    watch = Stopwatch()
    model.fit(
        pixels,
        films.labels,
        sample_weight=sample_weights(films.labels, 0.5),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=[watch.callback()],
        verbose=0,
    )
    return watch.quickest


def fit_cached(model: Any, films: Films, epochs: int) -> tuple[float, float]:  # noqa: ANN401
    """Return the time of the quickest epoch, fed from the cache."""
    watch = Stopwatch()
    batches = Batches(films, sample_weights(films.labels, 0.5), BATCH_SIZE, seed=0)
    feeding.fit(model, batches, epochs=epochs, callbacks=[watch.callback()])
    return watch.quickest


def speed(data: Dataset, side: int, pairs: int, epochs: int) -> dict[str, Any]:
    """Return images per second of both, taken in turns, and the ratios: of each pair of turns, then their median.

    `work_ratio` compares the cores' work for an image: other programs on the machine hardly touch it, but it does not
    see a core that waits.
    """
    films, model = data.splits["train"], compiled(side)
    in_memory = np.array(films.pixels)[..., None]
    turns = (lambda: fit_bare(model, films, in_memory, epochs), lambda: fit_cached(model, films, epochs))
    for turn in turns:  # Not counted: the first traces and compiles.
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
    """Return what this process takes at most while it decodes the films and trains an epoch on them, in bytes."""
    anonymous: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLING_SECONDS):
            status = Path("/proc/self/status").read_text()
            anonymous.append(int(status.split("RssAnon:")[1].split()[0]) * 1024)

    threading.Thread(target=watch, daemon=True).start()
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
    """Measure memory in a process that does nothing else, with a cache of its own."""
    answer = subprocess.run(  # noqa: S603 - this script itself
        [sys.executable, __file__, "--data", str(folder), "--side", str(side), "--memory-only"],
        env={**os.environ, "THORAQ_DATA_DIR": str(scratch / "memory")},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise click.ClickException(answer.stderr)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A training set; without it, noise.")
@click.option("--films", type=click.IntRange(min=240), default=4000, show_default=True, help="Films of noise to draw.")
@click.option("--side", type=click.IntRange(min=64), default=64, show_default=True, help="Pixels.")
@click.option("--pairs", type=click.IntRange(min=0), default=7, show_default=True, help="0: memory alone.")
@click.option("--epochs", type=click.IntRange(min=1), default=2, show_default=True, help="Of a turn; the best counts.")
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
