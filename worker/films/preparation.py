"""Takes one film from its file to a network's input: read, hashed, decoded, previewed, scaled, checked.

Decoder processes import this module, since bytes from outside are decoded there. Does not import a database or a
network.
"""

import hashlib
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from worker.decoding import decode
from worker.decoding.limits import Grey, Limits
from worker.decoding.pictures import scaled
from worker.errors import Reason, RejectedImage, TryAgainLater
from worker.films import archive, previews
from worker.films.film_check import FilmCheck
from worker.films.summary import FilmSummary, summarize

#: How many files are read ahead while another is decoded, so that a decoder does not wait for the disk.
FILES_AHEAD = 1
#: A larger file is read when its turn comes, since it would take memory from the film before it.
MAX_BYTES_AHEAD = 16 * 2**20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """Where the file of a film lies, and the SHA-256 that its sender announced, if any."""

    root: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class Preparation:
    """How films are prepared: for the input of one network."""

    #: Folders by name.
    roots: Mapping[str, Path]
    limits: Limits
    previews_dir: Path
    #: Height and width in pixels.
    input_size: tuple[int, int]
    film_check: FilmCheck | None


@dataclass(frozen=True)
class Prepared:
    """A decoded film at the network's input size."""

    sha256: str
    #: uint8, shape (height, width).
    film: Grey
    summary: FilmSummary


@dataclass(frozen=True)
class RejectedFilm:
    """A film that cannot be scored, and the reason."""

    sha256: str | None
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Postponed:
    """A film that could not be read because of trouble outside it."""

    detail: str


@dataclass(frozen=True)
class Crashed:
    """A film during which its decoder died, or met a fault of this program."""

    detail: str
    #: True for an error in our own code, which the decoder survived: the film is not to blame.
    is_fault: bool = False


FilmOutcome = Prepared | RejectedFilm | Postponed | Crashed


def for_network(film: Grey, input_size: tuple[int, int], film_check: FilmCheck | None) -> Grey:
    """Return a decoded film at a network's input size, (height, width): uint8.

    Raises:
        RejectedImage: not_a_chest_film, if there is a film check.
    """
    prepared = scaled(film, input_size)
    if film_check is not None:
        film_check.check(prepared)
    return prepared


def prepare(places: Iterable[Place], preparation: Preparation, *, preview: bool) -> Iterator[FilmOutcome]:
    """Yield the outcome of each film, in order; a preview, if wanted, is stored as soon as the film is decoded."""

    def begin(place: Place) -> Callable[[], bytes]:
        return _begin(place, preparation)

    for place, read in read_ahead(places, begin):
        yield _prepare(read, place.sha256, preparation, preview=preview)


def _begin(place: Place, preparation: Preparation) -> Callable[[], bytes]:
    """Start to read a file ahead, unless it is large; return a function that waits for its bytes."""
    max_bytes = preparation.limits.max_bytes
    ahead = archive.start_reading(place.root, place.path, preparation.roots, min(max_bytes, MAX_BYTES_AHEAD))

    def wait() -> bytes:
        try:
            return ahead()
        except MemoryError:  # The film before it took all that there was, and has given it back.
            pass
        except RejectedImage as error:
            if error.reason != Reason.TOO_MANY_BYTES:
                raise
        return archive.read(place.root, place.path, preparation.roots, max_bytes)

    return wait


def _prepare(
    read: Callable[[], bytes], announced: str | None, preparation: Preparation, *, preview: bool
) -> FilmOutcome:
    sha256 = None
    try:
        data = read()
        sha256 = hashlib.sha256(data).hexdigest()
        if announced and announced != sha256:
            raise RejectedImage(Reason.CHECKSUM_MISMATCH, "the file is not the one that the sender announced")
        film = decode(data, preparation.limits)
        if preview:
            previews.save_preview(film, sha256, preparation.previews_dir)
        at_input_size = for_network(film, preparation.input_size, preparation.film_check)
        return Prepared(sha256, at_input_size, summarize(film, at_input_size))
    except RejectedImage as error:
        return RejectedFilm(sha256, error.reason, error.detail)
    except TryAgainLater as error:
        return Postponed(str(error))
    except MemoryError:
        return RejectedFilm(sha256, Reason.TOO_MANY_PIXELS, "decoding takes more memory than a decoder may have")
    except Exception as error:  # noqa: BLE001 - the outcome names the error; its text may quote the film
        return Crashed(f"{type(error).__name__} in a decoder, {_place_of(error)}", is_fault=True)


def _place_of(error: Exception) -> str:
    """Return the file and the line that raised, for the log; neither quotes the film."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name} line {frame.lineno}"


def read_ahead(
    items: Iterable[Item], begin: Callable[[Item], Callable[[], bytes]]
) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """Yield each item with the function that waits for its bytes; reads start ahead. `begin` must not raise."""
    begun: deque[tuple[Item, Callable[[], bytes]]] = deque()
    for item in items:
        begun.append((item, begin(item)))
        if len(begun) > FILES_AHEAD:
            yield begun.popleft()
    yield from begun
