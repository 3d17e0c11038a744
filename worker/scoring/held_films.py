"""The films that a task knows it holds, and those that it holds without knowing.

A claim may be committed and its answer lost. Its films would then wait under a living owner until their lease ends, so
after an error the task asks the ledger for them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from worker.studies import ledger
from worker.studies.claims import Claim


class HeldFilms:
    """The films of one task at a time. One thread adds films, another removes them."""

    def __init__(self) -> None:
        """Hold nothing, for nobody."""
        self._owner: str | None = None
        self._image_ids: set[int] = set()
        #: True once a claim of this task has failed: it may hold films that it does not know of.
        self.in_doubt = False

    def begin(self, owner: str) -> None:
        """Forget the films of the task before, unless this is still the same task."""
        if owner != self._owner:
            self._owner, self._image_ids, self.in_doubt = owner, set(), False

    def add(self, claims: Iterable[Claim]) -> None:
        """Note films that were claimed."""
        self._image_ids.update(claim.image_id for claim in claims)

    def remove(self, image_ids: Iterable[int]) -> None:
        """Note films that were recorded or returned."""
        self._image_ids.difference_update(image_ids)

    @contextmanager
    def doubting_errors(self) -> Iterator[None]:
        """Let `unknown` look for lost claims once the block has raised an error of the database."""
        try:
            yield
        except DBAPIError:
            self.in_doubt = True
            raise

    def unknown(self, session: Session, *, others_in_flight: bool) -> Sequence[Claim]:
        """Return claims whose answer was lost; empty unless a claim has failed.

        A film that must be alone is returned alone, and only if the task works on no other.
        """
        if not self.in_doubt or self._owner is None:
            return []
        lost = ledger.held(session, self._owner, known=self._image_ids.copy())
        alone = [claim for claim in lost if claim.attempt > 1]
        if alone and not others_in_flight:
            return alone[:1]
        return [claim for claim in lost if claim.attempt == 1]
