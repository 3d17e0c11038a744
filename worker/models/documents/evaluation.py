"""One evaluation of a network on labelled films, part by part.

An undefined figure is None, never 0. Reports of older releases lack parts: those are None or empty here.
"""

from pydantic import Field
from pydantic.alias_generators import to_pascal

from worker.models.documents.document import Document, Interval


def _carets_column(name: str) -> str:
    """Return the name of caret's column, such as `Pos Pred Value`."""
    return " ".join(word.capitalize() for word in name.split("_"))


class OverallFigures(Document, alias_generator=to_pascal):
    """caret's figures over all classes; the JSON has caret's names, such as `AccuracyLower`."""

    accuracy: float | None = None
    kappa: float | None = None
    #: Ends of the exact 95 % interval.
    accuracy_lower: float | None = None
    accuracy_upper: float | None = None
    #: The no information rate: the share of the commonest class.
    accuracy_null: float | None = None
    accuracy_p_value: float | None = None
    mcnemar_p_value: float | None = None

    @property
    def accuracy_interval(self) -> Interval:
        """The exact 95 % interval of the accuracy."""
        return self.accuracy_lower, self.accuracy_upper


class ClassFigures(Document, alias_generator=_carets_column):
    """caret's figures of one class against the rest; the JSON has caret's names, such as `Balanced Accuracy`."""

    sensitivity: float | None = None
    specificity: float | None = None
    pos_pred_value: float | None = None
    neg_pred_value: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    prevalence: float | None = None
    detection_rate: float | None = None
    detection_prevalence: float | None = None
    balanced_accuracy: float | None = None

    def by_name(self) -> dict[str, float | None]:
        """Return every figure by caret's name, in caret's order."""
        return {_carets_column(name): getattr(self, name) for name in type(self).model_fields}


#: caret's eleven columns, in caret's order.
CLASS_COLUMNS = tuple(ClassFigures().by_name())


class ConfusionMatrix(Document):
    """A table of counts and every figure that caret derives from it."""

    classes: tuple[str, ...] = ()
    #: Rows are predictions, columns are the reference.
    table: tuple[tuple[int, ...], ...] = ()
    overall: OverallFigures = OverallFigures()
    by_class: dict[str, ClassFigures] = Field(default_factory=dict, alias="byClass")


class Bootstrap(Document):
    """How intervals were resampled."""

    resamples: int
    seed: int
    #: What is drawn: "patient" or "film".
    unit: str
    #: How many units there are.
    units: int
    #: The number of resamples in which every class that has a curve occurs.
    complete: int | None = None


class MacroAreas(Document):
    """Mean areas under the curves, over the classes that have a curve."""

    auroc: float | None = None
    auroc_interval: Interval | None = None
    auprc: float | None = None
    auprc_interval: Interval | None = None


class ClassAreas(MacroAreas):
    """Areas under the curves of one class against the rest."""

    n_positive: int | None = None
    n: int | None = None
    #: By which formula the interval was computed.
    auroc_method: str | None = None
    #: The AUPRC that guessing reaches.
    prevalence: float | None = None


class ReliabilityBin(Document):
    """The films whose top probability lies in one bin, from `lower`, exclusive, to `upper`."""

    lower: float
    upper: float
    n: int
    #: Mean top probability; None in an empty bin.
    confidence: float | None
    #: Share of the films that is right; None in an empty bin.
    accuracy: float | None


class Calibration(Document):
    """How far the probabilities can be believed."""

    #: Expected calibration error of the top probability.
    ece: float
    bins: int
    #: Mean over the films of the squared distances summed over the classes, from 0 to 2 (Brier 1950).
    brier: float
    #: In nats.
    log_loss: float
    reliability: tuple[ReliabilityBin, ...]


class CoverageStep(Document):
    """The accuracy of the films that are left when the least certain ones are withheld."""

    withheld_share: float
    n: int
    accuracy: float | None
    lower: float | None
    upper: float | None

    @property
    def interval(self) -> Interval:
        """The exact 95 % interval of the accuracy."""
        return self.lower, self.upper


class Rejected(Document):
    """How many files were rejected, and why."""

    count: int
    reasons: dict[str, int] = Field(default_factory=dict)


class Evaluation(ConfusionMatrix):
    """What a network is worth on one set of films."""

    #: How many films the figures are computed from.
    n: int | None = None
    #: By class, and their mean as `macro`.
    auroc: dict[str, float | None] = Field(default_factory=dict)
    balanced_accuracy: float | None = None
    balanced_accuracy_interval: Interval | None = None
    #: Areas under the curves by class.
    roc: dict[str, ClassAreas] | None = Field(None, alias="discrimination")
    macro: MacroAreas | None = None
    bootstrap: Bootstrap | None = None
    ece: float | None = None
    calibration: Calibration | None = None
    coverage: tuple[CoverageStep, ...] = ()
    rejected: Rejected | None = None

    @property
    def macro_auroc(self) -> float | None:
        """The mean AUROC over the classes that have a curve."""
        return self.auroc.get("macro")

    @property
    def macro_auroc_interval(self) -> Interval | None:
        """The 95 % interval of the macro AUROC."""
        return self.macro.auroc_interval if self.macro else None


class Headline(Document):
    """The few figures of an evaluation that a card carries."""

    n: int | None = None
    accuracy: float | None = None
    accuracy_lower: float | None = None
    accuracy_upper: float | None = None
    balanced_accuracy: float | None = None
    macro_auroc: float | None = None
    ece: float | None = None
