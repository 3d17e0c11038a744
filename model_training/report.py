"""The report of a training run: where it came from, how it went, and what it is worth, as plain JSON.

Assembles only; each figure is computed where it belongs.
"""

from dataclasses import asdict
from typing import Any

from model_training import evaluation, training
from model_training.dataset import Dataset
from model_training.films import reasons_of
from model_training.limits import limits_of
from model_training.training import Fitted, Knobs


def assemble(data: Dataset, fitted: Fitted, knobs: Knobs) -> dict[str, Any]:
    """Return the report without the name of the version, which the file's content decides.

    Every split is evaluated in full; the films of `test` are looked at here for the first time.
    """
    answers = {split: training.predict(fitted.network, films, knobs.batch_size) for split, films in data.splits.items()}
    evaluations = {
        split: evaluation.evaluate(answers[split], films.labels, data.classes, reasons_of(films.left_out))
        for split, films in data.splits.items()
    }
    test = data.splits["test"]
    sources = [data.manifest.get(name, {}).get("source_repo") or "not stated" for name in test.names]
    return {
        "trained_on": data.kind,
        "limits": list(limits_of(data)),
        "data": {
            "fingerprint": data.fingerprint,
            "counts": data.counts,
            "left_out": [asdict(entry) for entry in data.left_out],
        },
        "training": knobs.recorded(),
        "seconds": round(fitted.seconds, 1),
        "history": list(fitted.history),
        "kept_epoch": fitted.kept_epoch,
        **evaluations,
        "test_by_source": evaluation.by_group(answers["test"], test.labels, sources) if data.manifest else [],
    }
