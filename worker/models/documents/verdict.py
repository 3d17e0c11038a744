"""The gate's verdict on a candidate: passed or not, the reasons against it, and the figures behind them."""

from pydantic import Field

from worker.models.documents.document import Document, Interval
from worker.models.documents.evaluation import Bootstrap, Headline


class Difference(Document):
    """One figure of two versions a and b on the same films, and b minus a."""

    a: float | None
    b: float | None
    difference: float | None
    #: 95 %, by the paired bootstrap over patients.
    interval: Interval = (None, None)


class SensitivityTest(Document):
    """The sensitivity of both versions for one class, and whether the candidate's is worse."""

    #: Films of the class.
    n: int
    candidate: float
    active: float
    #: Films that only the active version alerts for, and films that only the candidate alerts for.
    lost: int
    gained: int
    #: The p-value of McNemar's exact one-sided test.
    p: float
    #: The candidate's threshold; None where it has no operating point.
    threshold: float | None = None


class CalibrationComparison(Document):
    """The expected calibration error of both versions, and the highest that is allowed."""

    candidate: float
    active: float
    bound: float


class ShownFigures(Document):
    """Figures that decide nothing, by split."""

    candidate: dict[str, Headline] = Field(default_factory=dict)
    active: dict[str, Headline] = Field(default_factory=dict)


class Verdict(Document):
    """What the gate found. Figures that it did not compute are None."""

    candidate: str | None = None
    #: None where no version was active.
    active: str | None = None
    #: How many films it was judged on.
    n: int = 0
    #: Films by class.
    films: dict[str, int] = Field(default_factory=dict)
    #: SHA-256 of each locked split.
    fingerprints: dict[str, str] = Field(default_factory=dict)
    shown: ShownFigures = ShownFigures()
    #: What a reader must know beside the figures.
    notes: tuple[str, ...] = ()
    macro_auroc: Difference | None = None
    accuracy: Difference | None = None
    bootstrap: Bootstrap | None = None
    #: By how much macro AUROC may be lower.
    auroc_margin: float | None = None
    #: By class.
    sensitivity: dict[str, SensitivityTest] | None = None
    #: The rule of the operating points at which sensitivities are compared.
    rule: str | None = None
    #: The level of the tests of sensitivity, for all classes together.
    significance: float | None = None
    calibration: CalibrationComparison | None = None
    #: Classes that the candidate never names.
    never_predicted: tuple[str, ...] | None = None
    passed: bool
    #: Sentences for a person; empty where the candidate passed.
    reasons: tuple[str, ...] = ()
