"""Trains the paper's final network exactly as the paper does: Adam 0.001, batches of 32, 70 epochs, last weights.

Unlike `thoraq train`, it uses no augmentation, class weights, validation epoch or temperature.
Example: python benchmarks/paper_recipe.py cxr6 --seed 0
"""  # noqa: INP001 - a script, in no package

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from model_training.data.dataset import SPLITS, Dataset, patient_of, read
from model_training.metrics.evaluation import evaluate
from model_training.networks.catalogue import CHANNELS, NETWORKS
from model_training.training.predictions import probabilities
from worker.models import backend

NETWORK = NETWORKS["v3"]
EPOCHS, BATCH_SIZE = 70, 32


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--seed", default=0, show_default=True)
def main(data: Path, seed: int) -> None:
    """Print the evaluation of each split as JSON."""
    films = read(data, NETWORK.input_size)
    keras = backend.keras()
    keras.utils.set_random_seed(seed)
    model = NETWORK.build(NETWORK, len(films.classes))
    model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
    train = films.splits["train"]
    three_channels = np.repeat(np.asarray(train.pixels)[..., None], CHANNELS, axis=-1)
    model.fit(three_channels, train.labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    click.echo(json.dumps({"seed": seed, **{split: summary(model, films, split) for split in SPLITS}}))


def summary(model: Any, data: Dataset, split: str) -> dict[str, Any]:  # noqa: ANN401 - Keras has no types
    """Return the main figures of a split's evaluation, and its loss, which is the mean cross-entropy."""
    films = data.splits[split]
    patients = [patient_of(data.manifest.get(name, {})) for name in films.names]
    result = evaluate(probabilities(model, films, BATCH_SIZE), films.labels, data.classes, patients=patients)
    macro = result["macro"]
    return {
        "n": result["n"],
        "loss": result["calibration"]["log_loss"],
        "accuracy": [result["overall"][name] for name in ("Accuracy", "AccuracyLower", "AccuracyUpper")],
        "balanced_accuracy": [result["balanced_accuracy"], *result["balanced_accuracy_interval"]],
        "macro_auroc": [macro["auroc"], *macro["auroc_interval"]],
        "ece": result["ece"],
    }


if __name__ == "__main__":
    main()
