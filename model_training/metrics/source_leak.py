"""Whether the network's features reveal a film's source: a network may use them as a short cut to the class.

A logistic regression on the features, cross-validated by patient on films that the network was not trained on: on all
of them, and on those without a finding alone, whose sources share one class.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.bootstrap import Resampling, percentile_interval, resampling
from model_training.metrics.evaluation import recalls
from model_training.metrics.roc import macro_auroc
from worker.models.documents.report import SourceLeak, SourceLeakFigures, SourceLeakWithinClass

#: A source with fewer films, or fewer patients than folds, is left out.
LEAST_FILMS = 20
FOLDS = 5
#: The inverse of the L2 penalty's strength, small because there are many features and few films.
INVERSE_PENALTY = 0.01
METHOD = f"logistic regression (L2, C = {INVERSE_PENALTY}) on standardised features, {FOLDS} folds by patient"

Features = npt.NDArray[np.floating]


def source_leak(  # noqa: PLR0913 - the films, and what is known of them
    features: Features,
    sources: Sequence[str],
    truth: Labels,
    classes: Sequence[str],
    *,
    patients: Sequence[str | None] | None = None,
    within: str = "No-Findings",
) -> SourceLeak | None:
    """Return how well the features separate the sources, among all films and among the films of one class.

    `chance` is the accuracy of always naming the largest source, `chance_given_class` that of naming the largest source
    of the film's class; accuracy above it is not explained by the class. Intervals come from the bootstrap by patients,
    with the out-of-fold predictions unchanged.

    Args:
        features: shape (n, features).
        sources: the source of each film.
        truth: index of each film's class, shape (n,).
        classes: names.
        patients: the patient of each film, None or empty if unknown.
        within: the class for the second result, which is None if the class has fewer than two large sources.

    Returns:
        None if fewer than two sources have enough films and patients.
    """
    everything = np.ones(len(truth), np.bool_)
    drawn, names = resampling(len(truth), patients), np.asarray(sources, np.str_)
    among_all = _figures_among(everything, features, names, truth, drawn)
    if among_all is None:
        return None
    within_class = None
    if within in classes:
        among_class = _figures_among(truth == classes.index(within), features, names, truth, drawn)
        if among_class is not None:
            within_class = SourceLeakWithinClass.model_validate({"class": within, **among_class.stored()})
    return SourceLeak.model_validate({**among_all.stored(), "method": METHOD, "within": within_class})


def _figures_among(
    films: npt.NDArray[np.bool_], features: Features, sources: npt.NDArray[np.str_], truth: Labels, drawn: Resampling
) -> SourceLeakFigures | None:
    """Return the figures among some of the films, None if they have fewer than two large sources."""
    names = [
        name
        for name in np.unique(sources[films])
        if (films & (sources == name)).sum() >= LEAST_FILMS and drawn.units_with(films & (sources == name)) >= FOLDS
    ]
    if len(names) < 2:  # noqa: PLR2004
        return None
    used = films & np.isin(sources, names)
    labels = np.searchsorted(names, sources[used])
    units = np.unique(drawn.unit_of[used], return_inverse=True)[1]
    probabilities = _out_of_fold(features[used].astype(np.float64), labels, units)
    predicted, resampled = probabilities.argmax(axis=1), Resampling(units, drawn.unit)
    right = (predicted == labels).astype(np.float64)
    area, interval = macro_auroc(probabilities, labels, resampled)
    return SourceLeakFigures(
        n=int(used.sum()),
        left_out=int(films.sum() - used.sum()),
        sources={str(name): int((labels == index).sum()) for index, name in enumerate(names)},
        features=features.shape[1],
        chance=_largest(labels) / len(labels),
        chance_given_class=_chance_given_class(labels, truth[used]),
        accuracy=float(right.mean()),
        accuracy_interval=percentile_interval(
            resampled.distribution(lambda weights: (weights @ right) / weights.sum(axis=1))
        ),
        balanced_accuracy=float(recalls(predicted, labels, np.unique(labels), np.ones((1, len(labels)))).mean()),
        macro_auroc=area,
        macro_auroc_interval=interval,
        bootstrap=resampled.described(),
    )


def _out_of_fold(features: npt.NDArray[np.float64], labels: Labels, units: Labels) -> npt.NDArray[np.float32]:
    """Return each film's probabilities by a regression trained without its patient's films, shape (n, sources)."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second of import
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - likewise
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - likewise
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - likewise

    probabilities = np.zeros((len(labels), labels.max() + 1), np.float32)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, held_out in folds.split(features, labels, units):
        regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
        model = make_pipeline(StandardScaler(), regression).fit(features[train], labels[train])
        # A source whose films are all in this fold has no column.
        probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return probabilities


def _chance_given_class(labels: Labels, truth: Labels) -> float:
    return sum(_largest(labels[truth == label]) for label in np.unique(truth)) / len(labels)


def _largest(labels: Labels) -> int:
    return int(np.bincount(labels).max())
