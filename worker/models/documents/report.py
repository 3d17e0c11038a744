"""The report of a training run: where it came from, how it went, and what the network is worth.

Reports of older releases lack parts: those are None or empty here. A version without any report has an empty one.
"""

from pydantic import Field, JsonValue

from worker.errors import UnreadableDocument
from worker.models.documents.card import TrainedOn
from worker.models.documents.document import Document, Interval
from worker.models.documents.evaluation import Bootstrap, Calibration, Evaluation, OverallFigures


class LeftOutFile(Document):
    """A file that is not a readable film."""

    name: str
    reason: str


class Sample(Document):
    """One training film of a class, named below the data folder."""

    class_name: str = Field(alias="class")
    film: str


class Splitting(Document):
    """How splits were made: by patient, with this seed."""

    seed: int
    #: Number of groups of films that stay together.
    groups: int
    #: Intended share of the films in each split.
    fractions: dict[str, float]


class DataSummary(Document):
    """Which films there were, and where they and their labels came from."""

    fingerprint: str | None = None
    #: Films by split and class.
    counts: dict[str, dict[str, int]]
    left_out: tuple[LeftOutFile, ...] = ()
    samples: tuple[Sample, ...] = ()
    #: How the splits were made; None where the data brought them.
    splitting: Splitting | None = None
    #: Films by split, origin and class; None where no manifest states the origin.
    sources: dict[str, dict[str, dict[str, int]]] | None = None
    label_sources: dict[str, dict[str, dict[str, int]]] | None = None


class Epoch(Document):
    """Loss (nats) and accuracy after one epoch."""

    epoch: int
    accuracy: float
    loss: float
    val_accuracy: float
    val_loss: float
    #: The validation loss once a temperature is fitted; the lowest one chooses the epoch.
    val_calibrated_loss: float | None = None
    learning_rate: float | None = None


class Provenance(Document):
    """What must be known to repeat a run."""

    software: dict[str, str]
    platform: str | None = None
    processor: str | None = None
    device: str | None = None
    preprocessing: str | None = None
    git: str | None = None
    seconds: float | None = None
    seed: int | None = None
    temperature: float | None = None


class SourceAccuracy(OverallFigures):
    """The accuracy on the test films of one source, with its exact interval."""

    group: str = Field(alias="group")
    n: int | None = Field(None, alias="n")


class Subgroup(Document):
    """Figures of the test films of one group; a group with too few films has its n alone."""

    #: What the films are grouped by: source, view, sex or age.
    by: str
    group: str
    n: int
    suppressed: bool = False
    accuracy: float | None = None
    #: Ends of the accuracy's exact 95 % interval.
    lower: float | None = None
    upper: float | None = None
    #: Accuracy of the group minus that of all films.
    gap: float | None = None
    balanced_accuracy: float | None = None
    #: Over the classes in `classes_present`.
    macro_auroc: float | None = None
    macro_auroc_interval: Interval | None = None
    classes_present: tuple[str, ...] = ()

    @property
    def interval(self) -> Interval:
        """The exact 95 % interval of the accuracy."""
        return self.lower, self.upper


class SourceLeakFigures(Document):
    """How well the sources of films can be told apart by the network's features."""

    n: int
    #: Films of sources that are too small.
    left_out: int = 0
    #: Films by source.
    sources: dict[str, int]
    features: int | None = None
    #: The accuracy of always naming the largest source.
    chance: float
    #: The accuracy of always naming the largest source of the film's class.
    chance_given_class: float | None = None
    accuracy: float
    accuracy_interval: Interval | None = None
    balanced_accuracy: float | None = None
    macro_auroc: float | None = None
    macro_auroc_interval: Interval | None = None
    bootstrap: Bootstrap | None = None


class SourceLeakWithinClass(SourceLeakFigures):
    """The same among the films of one class."""

    class_name: str = Field(alias="class")


class SourceLeak(SourceLeakFigures):
    """Whether the network's features reveal a film's source."""

    method: str
    within: SourceLeakWithinClass | None = None


class WorstError(Document):
    """A test film that was named wrongly with great confidence."""

    #: Below the data folder.
    film: str
    truth: str
    predicted: str
    probability: float
    truth_probability: float


class AlertFigures(Document):
    """What the alerts at a threshold are worth on one split, with exact 95 % intervals."""

    n: int | None = None
    n_positive: int | None = None
    alerts: int | None = None
    alerts_per_100: float | None = None
    sensitivity: float | None = None
    sensitivity_interval: Interval | None = None
    specificity: float | None = None
    specificity_interval: Interval | None = None
    ppv: float | None = None
    ppv_interval: Interval | None = None
    npv: float | None = None
    npv_interval: Interval | None = None


class OperatingPoint(Document):
    """A threshold at which a class raises an alert, chosen on validation films."""

    class_name: str = Field(alias="class")
    rule: str
    #: None where the rule finds none.
    threshold: float | None = None
    chosen_on: str = "validation"
    validation: AlertFigures = AlertFigures()
    test: AlertFigures = AlertFigures()


class TemperatureScaling(Document):
    """The calibration of the splits before and after the logits are divided by a temperature."""

    temperature: float
    fitted_on: str
    #: By split.
    before: dict[str, Calibration]
    after: dict[str, Calibration]


class Report(Document):
    """The report of a training run; or of one evaluation, which is in `test`."""

    version: str | None = None
    network: str | None = None
    trained_on: TrainedOn | None = None
    limits: tuple[str, ...] = ()
    #: Which films `test` is about, in words; None if it is about the run's test split.
    on: str | None = None
    data: DataSummary | None = None
    #: The settings of the run.
    training: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float | None = None
    history: tuple[Epoch, ...] = ()
    #: The epoch, counted from 1, whose weights were kept.
    kept_epoch: int | None = None
    provenance: Provenance | None = None
    train: Evaluation | None = None
    validation: Evaluation | None = None
    test: Evaluation | None = None
    #: Films of other hospitals.
    external: Evaluation | None = None
    test_by_source: tuple[SourceAccuracy, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    #: Evaluations of the test films with one class left out, by that class.
    without: dict[str, Evaluation] = Field(default_factory=dict)
    source_leak: SourceLeak | None = None
    #: None where the report lists no errors.
    worst_errors: tuple[WorstError, ...] | None = Field(None, alias="gallery")
    operating_points: tuple[OperatingPoint, ...] = ()
    calibration: TemperatureScaling | None = None

    @property
    def tested(self) -> Evaluation:
        """The evaluation of the test films.

        Raises:
            UnreadableDocument: the report has none.
        """
        if self.test is None:
            raise UnreadableDocument("the report has no evaluation of test films")
        return self.test

    def of_split(self, name: str) -> Evaluation | None:
        """Return the evaluation of train, validation, test or external, where the report has it."""
        evaluation: Evaluation | None = getattr(self, name)
        return evaluation
