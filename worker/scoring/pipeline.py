"""The order of scoring: batches are claimed, decoded, predicted and recorded, each step beside the others.

    claim thread    claim B | claim C |
    decoders        decode A | decode B | decode C |
    this thread               predict A | predict B | predict C |
    record thread                         record A  | record B  | record C

What each step does is in `worker.scoring.batch_steps`. Does not touch the database itself.
"""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from worker.films.preparation import FilmOutcome
from worker.scoring.active_model import LoadedModel
from worker.scoring.batch_size import BatchSizer
from worker.studies.claims import Claim, Rejected, Scored

#: Batches that decode while another is predicted. More would delay an urgent film; fewer would let the network wait.
BATCHES_AHEAD = 2
#: Batches that wait to be recorded. If the process dies, these are scored again.
BATCHES_BEHIND = 2


@dataclass(frozen=True)
class Claims:
    """Films that were claimed together, and the version that is to score them."""

    films: Sequence[Claim]
    #: None when no version is active.
    model_version_id: int | None
    #: True when as many films were claimed as allowed: more may wait.
    full: bool


@dataclass(frozen=True)
class Batch:
    """Films that are being decoded, or are decoded."""

    model: LoadedModel
    claims: Sequence[Claim]
    #: The decoders' answers in the order of `claims`, several films in each part.
    parts: Sequence[Future[list[FilmOutcome]]]
    #: True when the decoders also store previews.
    preview: bool


@dataclass(frozen=True)
class Outcomes:
    """What is to be recorded of a batch."""

    finished: Sequence[Scored | Rejected]
    #: Image ids that trouble outside kept from being read.
    postponed: Sequence[int]
    #: Image ids during which a decoder died.
    crashed: Sequence[int]
    #: Image ids that met a fault of this program.
    faulty: Sequence[int]
    model_version_id: int


class Steps(Protocol):
    """The four steps of a batch."""

    def claim(self, owner: str, *, others_in_flight: bool) -> Claims:
        """Claim the next films; with `others_in_flight`, none that must be alone. Runs in the claim thread."""

    def decode(self, claims: Claims) -> Batch:
        """Hand films to the decoders and return at once."""

    def predict(self, batch: Batch) -> Outcomes:
        """Run the network on a decoded batch."""

    def record(self, owner: str, outcomes: Outcomes) -> None:
        """Commit the outcomes of a batch. Runs in the record thread."""


class Pipeline:
    """One run of the steps, until no more films can be claimed beside those in flight.

    A film that was tried before must be alone: it is only claimed as the first of a run, and no film is claimed after
    it.
    """

    def __init__(  # noqa: PLR0913 - what a run needs, by name
        self,
        steps: Steps,
        *,
        owner: str,
        deadline: float,
        claim_thread: Executor,
        record_thread: Executor,
        batch_sizer: BatchSizer,
    ) -> None:
        """Keep what the run needs; start nothing.

        Args:
            steps: what is done at each step.
            owner: under which name films are claimed and recorded.
            deadline: on the clock of `time.monotonic`, in seconds; no film is claimed after it.
            claim_thread: one thread, so that claims are made in order.
            record_thread: one thread, so that batches are recorded in order.
            batch_sizer: is told how long each batch took.
        """
        self._steps, self._owner, self._deadline = steps, owner, deadline
        self._claim_thread, self._record_thread = claim_thread, record_thread
        self._batch_sizer = batch_sizer
        self._claim: Future[Claims] | None = None
        #: Oldest first.
        self._batches: deque[Batch] = deque()
        self._records: deque[Future[None]] = deque()
        self._claimed_films = 0
        #: False once a claim found nothing, or a film that must be alone.
        self._may_claim = True
        self._last_batch_at = time.monotonic()

    def run(self) -> int:
        """Score until nothing more can be claimed, and return how many films were claimed.

        Raises:
            Exception: what a step raised. By then no claim and no record is under way, so that the caller can return
                every film that the owner still holds.
        """
        try:
            while self._advance():
                pass
        finally:
            under_way: list[Future[Any]] = [*self._records, *filter(None, [self._claim])]
            wait(under_way)
        for record in self._records:
            record.result()
        return self._claimed_films

    def _advance(self) -> bool:
        """Do what comes next; return False when nothing is left to do."""
        undecoded = [part for part in self._batches[0].parts if not part.done()] if self._batches else []
        oldest_is_decoded = bool(self._batches) and not undecoded
        self.claim_if_room(oldest_is_decoded=oldest_is_decoded)
        if self._claim and (self._claim.done() or not self._batches):
            self.take_claimed(self._claim)
        elif oldest_is_decoded:
            self.finish_oldest()
        elif self._batches:
            self._wait_for(undecoded[0])
        else:
            return False
        return True

    def claim_if_room(self, *, oldest_is_decoded: bool) -> None:
        """Begin to claim the next batch, unless enough batches decode or the time budget is spent.

        A decoded batch takes no room: its successor is claimed before the network runs.
        """
        room = len(self._batches) - oldest_is_decoded < BATCHES_AHEAD and time.monotonic() < self._deadline
        if self._may_claim and self._claim is None and room:
            others_in_flight = self._claimed_films > 0
            self._claim = self._claim_thread.submit(self._steps.claim, self._owner, others_in_flight=others_in_flight)

    def take_claimed(self, claim: Future[Claims]) -> None:
        """Hand the claimed films to the decoders; wait for the claim if it is not done."""
        claims = claim.result()
        self._claim = None
        self._claimed_films += len(claims.films)
        self._may_claim = bool(claims.films) and claims.films[0].attempt == 1
        if claims.films:
            self._batches.append(self._steps.decode(claims))

    def finish_oldest(self) -> None:
        """Run the network on the oldest batch and begin to record it; wait while too many records are under way."""
        batch = self._batches.popleft()
        outcomes = self._steps.predict(batch)
        self._records.append(self._record_thread.submit(self._steps.record, self._owner, outcomes))
        while len(self._records) > BATCHES_BEHIND:
            self._records.popleft().result()
        now = time.monotonic()
        self._batch_sizer.observe(len(batch.claims), now - self._last_batch_at)
        self._last_batch_at = now

    def _wait_for(self, part: Future[list[FilmOutcome]]) -> None:
        """Wait until a part of the oldest batch is decoded, or the claim is done."""
        futures: list[Future[Any]] = [part, *filter(None, [self._claim])]
        wait(futures, return_when=FIRST_COMPLETED)
