"""Versions of the network side by side, as in the paper's Figure 11: what each is, and its figures on each split.

Reads cards and reports; loads no network.
"""

from dataclasses import asdict

from pydantic import BaseModel

from model_training.data.dataset import SPLITS
from model_training.networks.catalogue import NETWORKS
from worker.models.documents.card import ModelCard
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import Report
from worker.models.paper import ROWS

Shares = dict[str, float | None]
Intervals = dict[str, Interval | None]


class PaperFigures(BaseModel):
    """The paper's row of a network; what the paper does not state is None."""

    version: str
    features: str
    trainable_parameters: int
    accuracy: Shares
    loss: Shares


class VersionRow(BaseModel):
    """One version: what it is, and its figures by split."""

    version: str
    network: str
    trained_on: str
    data_fingerprint: str
    #: Layers, optimiser and input size in words.
    features: str
    trainable_parameters: int
    n: dict[str, int | None]
    accuracy: Shares
    accuracy_interval: Intervals
    balanced_accuracy: Shares
    balanced_accuracy_interval: Intervals
    macro_auroc: Shares
    macro_auroc_interval: Intervals
    #: Mean cross-entropy in nats of the published network, every film counting alike; None in reports that lack it.
    loss: Shares
    #: None where the paper has no network of this name.
    paper: PaperFigures | None


def row_of(card: ModelCard, report: Report) -> VersionRow:
    """Return one version's row beside the paper's row of that network."""
    parts = {split: report.of_split(split) or Evaluation() for split in SPLITS}
    paper = ROWS.get(card.network)
    return VersionRow(
        version=card.version,
        network=card.network,
        trained_on=card.trained_on,
        data_fingerprint=card.data_fingerprint,
        features=_features(card),
        trainable_parameters=card.trainable_parameters,
        n={split: part.n for split, part in parts.items()},
        accuracy={split: part.overall.accuracy for split, part in parts.items()},
        accuracy_interval={split: part.overall.accuracy_interval for split, part in parts.items()},
        balanced_accuracy={split: part.balanced_accuracy for split, part in parts.items()},
        balanced_accuracy_interval={split: part.balanced_accuracy_interval for split, part in parts.items()},
        macro_auroc={split: part.macro_auroc for split, part in parts.items()},
        macro_auroc_interval={split: part.macro_auroc_interval for split, part in parts.items()},
        loss={split: part.calibration.log_loss if part.calibration else None for split, part in parts.items()},
        paper=PaperFigures.model_validate(asdict(paper)) if paper else None,
    )


def _features(card: ModelCard) -> str:
    """Return layers, regularisation and optimiser in words."""
    known = NETWORKS.get(card.network)
    layers = known.description if known else f"the network {card.network}, unknown to this release"
    side = " x ".join(map(str, card.input_size))
    return f"{layers}; {card.training.get('optimizer', 'optimiser not stated')}; {side} pixels"
