"""One film, from where it lies to what a network is shown: read, hashed, decoded, pictured, scaled, judged.

Bytes from outside are decoded in a process of their own, which imports this; it knows no database and no network.
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

#: Files that are read while another is decoded: a decoder does not wait for a disk. A file may have 64 MiB.
FILES_AHEAD = 1

Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """Where a film lies, and what its sender announced it to be, if he did."""

    root: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class Preparation:
    """What films are prepared for: one network's input."""

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
    """A film that cannot be scored, and why."""

    sha256: str | None
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Postponed:
    """A film that trouble outside kept from being read."""

    detail: str


@dataclass(frozen=True)
class Crashed:
    """A film during which its decoder died, or failed as no film should make it fail."""

    detail: str


FilmOutcome = Prepared | RejectedFilm | Postponed | Crashed


def for_network(film: Grey, input_size: tuple[int, int], film_check: FilmCheck | None) -> Grey:
    """Return a decoded film at a network's input size, (height, width): uint8.

    Raises:
        RejectedImage: not_a_chest_film, where there is a detector.
    """
    prepared = scaled(film, input_size)
    if film_check is not None:
        film_check.check(prepared)
    return prepared


def prepare(places: Iterable[Place], preparation: Preparation, *, preview: bool) -> Iterator[FilmOutcome]:
    """Yield what becomes of each film, in order; with a preview, it is stored as soon as the film is decoded."""

    def begin(place: Place) -> Callable[[], bytes]:
        return archive.start_reading(place.root, place.path, preparation.roots, preparation.limits.max_bytes)

    for place, read in read_ahead(places, begin):
        yield _prepare(read, place.sha256, preparation, preview=preview)


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
    except Exception as error:  # noqa: BLE001 - the name says what to look for; its text may quote the film
        return Crashed(f"{type(error).__name__} in a decoder, {_place_of(error)}")


def _place_of(error: Exception) -> str:
    """Return the file and the line that raised, for the log: neither says anything of the film."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name} line {frame.lineno}"


def read_ahead(
    items: Iterable[Item], begin: Callable[[Item], Callable[[], bytes]]
) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """Yield items with what waits for their bytes; the next are begun before their turn. `begin` must not raise."""
    begun: deque[tuple[Item, Callable[[], bytes]]] = deque()
    for item in items:
        begun.append((item, begin(item)))
        if len(begun) > FILES_AHEAD:
            yield begun.popleft()
    yield from begun
