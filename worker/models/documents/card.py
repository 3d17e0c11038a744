"""A model's card: what must be known to use the network. It lies beside the network's file and in the registry."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue

from worker.models.documents.document import Document
from worker.models.documents.evaluation import Headline

#: What a network was trained on: real films, or drawn phantoms.
TrainedOn = Literal["films", "phantoms"]


#: Far above what any network for films has. A card beyond these limits is damaged, and would take all memory.
MAX_CLASSES, MAX_SIDE_PIXELS, MAX_CHANNELS = 200, 4096, 4

ClassName = Annotated[str, Field(min_length=1, max_length=100)]
SidePixels = Annotated[int, Field(ge=1, le=MAX_SIDE_PIXELS)]


def _in_utc(value: datetime) -> datetime:
    """Return the moment in UTC; one without a zone is UTC already."""
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) != len(classes):
        raise ValueError("two classes have one name")
    return classes


class FilmCheckCard(Document):
    """The film check, which rejects pictures unlike the model's training films; its file lies beside the network's."""

    #: SHA-256 of `worker.films.film_check.FILM_CHECK_FILE`.
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: By split: how many films there were, and how many of them it rejected.
    rejections: dict[str, dict[str, int]]


class ModelCard(Document):
    """What must be known of a network to use it."""

    WRITES_DEFAULTS: ClassVar[bool] = True

    #: `<network>-<first 12 digits of the file's SHA-256>`.
    version: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: The architecture's name, as `thoraq networks` lists it.
    network: str
    #: The findings, in the order of the network's outputs.
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=MAX_CLASSES), AfterValidator(_distinct)]
    #: Height and width of the input in pixels.
    input_size: tuple[SidePixels, SidePixels]
    #: How many copies of the one grey channel the network expects.
    channels: int = Field(ge=1, le=MAX_CHANNELS)
    #: The `worker.decoding.PREPROCESSING` with which the network was trained.
    preprocessing: str
    trainable_parameters: int
    #: Shown wherever a prediction is shown.
    trained_on: TrainedOn
    #: SHA-256 over the exact images, labels and splits.
    data_fingerprint: str
    #: Images by split and class.
    data_counts: dict[str, dict[str, int]]
    seed: int
    epochs: int
    batch_size: int
    #: Every other setting of the training run.
    training: dict[str, JsonValue]
    #: Figures by split.
    metrics: dict[str, Headline]
    #: Versions of Python, Keras and the backend that trained it.
    software: dict[str, str]
    trained_at: Annotated[datetime, AfterValidator(_in_utc)]
    #: None if the model accepts every film that the decoder can read.
    film_check: FilmCheckCard | None = None
    #: What a reader must know before believing a figure.
    limits: tuple[str, ...]

    @property
    def deciding(self) -> tuple[object, ...]:
        """What decides an answer and how it is shown: the files, and how films go in and probabilities come out."""
        film_check = self.film_check.sha256 if self.film_check else None
        sizes = (self.input_size, self.channels)
        return (self.version, self.sha256, film_check, self.classes, *sizes, self.preprocessing, self.trained_on)
