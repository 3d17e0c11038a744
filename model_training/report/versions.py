"""Versions of the network side by side, after the paper's Figure 11: what each is, and how it did on each split.

Reads cards and reports; knows no films and loads no network.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from model_training.data.dataset import SPLITS
from model_training.networks.catalogue import NETWORKS
from worker.models.directory import ModelCard
from worker.models.paper import ROWS


def row_of(card: ModelCard, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return one version's row, with the paper's row of that network as `paper`, or None where it has none.

    The loss is the mean cross-entropy in nats of the published network's answers, every film counting alike; None in
    reports that lack it.
    """
    evaluations = {split: report.get(split) or {} for split in SPLITS}
    overall = {split: found.get("overall") or {} for split, found in evaluations.items()}
    paper = ROWS.get(card.network)
    return {
        "version": card.version,
        "network": card.network,
        "trained_on": card.trained_on,
        "data_fingerprint": card.data_fingerprint,
        "features": _features(card),
        "trainable_parameters": card.trainable_parameters,
        "n": {split: found.get("n") for split, found in evaluations.items()},
        "accuracy": {split: found.get("Accuracy") for split, found in overall.items()},
        "accuracy_interval": {
            split: [found.get("AccuracyLower"), found.get("AccuracyUpper")] for split, found in overall.items()
        },
        "balanced_accuracy": {split: found.get("balanced_accuracy") for split, found in evaluations.items()},
        "balanced_accuracy_interval": {
            split: found.get("balanced_accuracy_interval") for split, found in evaluations.items()
        },
        "macro_auroc": {split: found.get("auroc", {}).get("macro") for split, found in evaluations.items()},
        "macro_auroc_interval": {
            split: found.get("macro", {}).get("auroc_interval") for split, found in evaluations.items()
        },
        "loss": {split: found.get("calibration", {}).get("log_loss") for split, found in evaluations.items()},
        "paper": asdict(paper) if paper else None,
    }


def _features(card: ModelCard) -> str:
    """Return layers, regularisation and optimiser in words."""
    known = NETWORKS.get(card.network)
    layers = known.description if known else f"the network {card.network}, unknown to this release"
    side = " x ".join(map(str, card.input_size))
    return f"{layers}; {card.training.get('optimizer', 'optimiser not stated')}; {side} pixels"
