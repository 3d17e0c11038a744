"""The main job as plain code: claim, open, decode, predict, record, all overlapped. Knows no Celery."""

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from worker import metrics
from worker.database import reading, through_outages, transaction
from worker.errors import ModelUnavailable
from worker.films.decoder_pool import decoders
from worker.films.preparation import Answer, Crashed, Place, Postponed, Prepared, Refused
from worker.models import registry
from worker.models.classifier import device_name
from worker.scoring.active_model import ActiveModel, LoadedModel
from worker.scoring.batch_size import BatchSizer
from worker.settings import Settings
from worker.studies import claim_order, ledger
from worker.studies.claims import Claim, Rejected, Scored
from worker.studies.records import Priority

logger = logging.getLogger(__name__)

#: Batches that decode while another is predicted. More would hold up an urgent film, fewer the network.
BATCHES_AHEAD = 2
#: Batches whose outcomes are on their way into the database. More would only be lost with the process.
BATCHES_BEHIND = 2
#: Films of a backlog whose previews are remembered; an older film gets its preview when somebody looks at it.
PREVIEWS_OWED = 2_000


@dataclass(frozen=True)
class Claims:
    """Films that were claimed together, and by which version they are to be scored."""

    films: list[Claim]
    model_version_id: int | None
    #: As many as were asked for: a backlog.
    full: bool


@dataclass(frozen=True)
class Batch:
    """Films on their way from claim to record."""

    model: LoadedModel
    claims: Sequence[Claim]
    #: What becomes of them, some films each, in their order.
    answers: Sequence[Future[list[Answer]]]
    #: Previews are made with it.
    preview: bool


class Scorer:
    """One process's scoring: the active network, processes that decode, a thread that claims and one that records.

    Claims and records are made in order, and beside each other: a film is claimed, decoded, predicted and recorded
    while its neighbours are at another step.
    """

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        count = settings.decoders or os.cpu_count() or 1
        self._decoders = decoders(count)
        self._claims = ThreadPoolExecutor(1, thread_name_prefix="claim")
        self._records = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._batch_sizer = BatchSizer(settings.batch_size, count)
        self._max_wait = {
            Priority.ROUTINE: timedelta(seconds=settings.max_wait_routine_seconds),
            Priority.OFFPEAK: timedelta(seconds=settings.max_wait_offpeak_seconds),
        }
        self._active = ActiveModel(settings)
        #: Films whose previews are due, the newest of a backlog.
        self._unseen: deque[Claim] = deque(maxlen=PREVIEWS_OWED)

    def score_waiting(self, owner: str) -> bool:
        """Score batch after batch while films wait and the time budget lasts; tell whether some still wait.

        Args:
            owner: under whose name films are claimed; what the same name had claimed before a crash waits again.

        Raises:
            ModelUnavailable: there is no active version, or it cannot be loaded. Nothing stays claimed.
        """
        deadline = time.monotonic() + self._settings.task_budget_seconds
        self._active.load_current()
        self._reclaim(owner)
        try:
            while self._flow(owner, deadline):
                pass
        except ModelUnavailable:
            self._return_uncharged(owner)
            raise
        self._make_previews(deadline)
        with reading() as session:
            return claim_order.any_waiting(session)

    def loaded(self) -> tuple[str, str]:
        """Return the loaded version's name and the device on which it computes."""
        return self._active.loaded().classifier.card.version, device_name()

    def _flow(self, owner: str, deadline: float) -> int:
        """Score until nothing more can be claimed beside what is in flight, and return how many films that were.

        A film that was tried before must be alone: it is claimed as the first of a flow, and nothing beside it.
        """
        ahead: deque[Batch] = deque()
        behind: deque[Future[None]] = deque()
        claiming: Future[Claims] | None = None
        films, more = 0, True
        since = time.monotonic()
        try:
            while True:
                decoding = [part for part in ahead[0].answers if not part.done()] if ahead else []
                decoded = bool(ahead) and not decoding
                # What is decoded no longer counts: its successor is claimed before the network is asked.
                room = len(ahead) - decoded < BATCHES_AHEAD and time.monotonic() < deadline
                if more and claiming is None and room:
                    claiming = self._claims.submit(self._claim, owner, together=films > 0)
                if claiming and (not ahead or claiming.done()):
                    claimed = claiming.result()
                    claiming, films = None, films + len(claimed.films)
                    more = bool(claimed.films) and claimed.films[0].attempt == 1
                    if claimed.films:
                        ahead.append(self._decode(claimed))
                elif ahead and not decoded:
                    coming: list[Future[Any]] = [*decoding[:1], *filter(None, [claiming])]
                    wait(coming, return_when=FIRST_COMPLETED)
                elif ahead:
                    batch = ahead.popleft()
                    behind.append(self._predict(owner, batch))
                    while len(behind) > BATCHES_BEHIND:
                        behind.popleft().result()
                    self._batch_sizer.observe(len(batch.claims), time.monotonic() - since)
                    since = time.monotonic()
                else:
                    break
        finally:
            # Whoever gives films back after an error must find all that were claimed, and no record on its way.
            under_way: list[Future[Any]] = [*behind, *filter(None, [claiming])]
            wait(under_way)
        for record in behind:
            record.result()
        return films

    @through_outages
    def _claim(self, owner: str, *, together: bool) -> Claims:
        """Claim a batch and tell by which version it is to be scored."""
        limit = self._batch_sizer.films
        with transaction() as session:
            claims = ledger.claim(
                session,
                owner,
                limit=limit,
                lease_seconds=self._settings.lease_seconds,
                max_attempts=self._settings.max_attempts,
                max_wait=self._max_wait,
                together=together,
            )
            return Claims(claims, registry.active_id(session), full=len(claims) >= limit)

    @through_outages
    def _reclaim(self, owner: str) -> None:
        with transaction() as session:
            ledger.reclaim(session, owner)

    @through_outages
    def _return_uncharged(self, owner: str) -> None:
        with transaction() as session:
            ledger.return_uncharged(session, owner)

    def _decode(self, claimed: Claims) -> Batch:
        """Give the films of a batch to the decoders.

        Raises:
            ModelUnavailable: another version has become active, and cannot be loaded.
        """
        claims, model = claimed.films, self._active.load(claimed.model_version_id)
        # In a backlog previews can wait, neighbours cannot.
        preview = not claimed.full
        return Batch(model, claims, self._prepare(claims, model, preview=preview), preview)

    def _prepare(self, claims: Sequence[Claim], model: LoadedModel, *, preview: bool) -> list[Future[list[Answer]]]:
        places = [Place(claim.root, claim.path, claim.sha256) for claim in claims]
        return self._decoders.prepare(places, model.preparation, preview=preview)

    def _predict(self, owner: str, batch: Batch) -> Future[None]:
        """Ask the network about the films of a batch, and hand all outcomes to the ledger's thread."""
        answers = [answer for part in batch.answers for answer in part.result()]
        films = list(zip(batch.claims, answers, strict=True))
        prepared = [(claim, film) for claim, film in films if isinstance(film, Prepared)]
        outcomes: list[Scored | Rejected] = [
            Rejected(claim.image_id, film.sha256, film.reason, film.detail)
            for claim, film in films
            if isinstance(film, Refused)
        ]
        reasons = [entry.reason for entry in outcomes if isinstance(entry, Rejected)]
        if prepared:
            classes = batch.model.classifier.card.classes
            with metrics.predicting.time():
                probabilities = batch.model.classifier.predict(np.stack([film.film for _, film in prepared]))
            outcomes += [
                Scored(claim.image_id, film.sha256, dict(zip(classes, row, strict=True)), asdict(film.look))
                for (claim, film), row in zip(prepared, probabilities.tolist(), strict=True)
            ]
        if not batch.preview:
            self._unseen.extend(claim for claim, _ in prepared)
        postponed = [claim.image_id for claim, film in films if isinstance(film, Postponed)]
        crashed = [claim.image_id for claim, film in films if isinstance(film, Crashed)]
        metrics.count_batch(len(prepared), reasons, len(crashed))
        counts = len(films), len(prepared), len(reasons), len(postponed), len(crashed)
        logger.info("a batch of %d: %d scored, %d rejected, %d postponed, %d crashed", *counts)
        for reason in {film.detail for film in answers if isinstance(film, Postponed | Crashed)}:
            logger.warning("films are postponed or crashed: %s", reason)
        return self._records.submit(self._record, owner, outcomes, postponed, crashed, batch.model.model_version_id)

    @metrics.recording.time()
    @through_outages
    def _record(
        self,
        owner: str,
        outcomes: Sequence[Scored | Rejected],
        postponed: Sequence[int],
        crashed: Sequence[int],
        model_version_id: int,
    ) -> None:
        with transaction() as session:
            ledger.record(session, owner, outcomes, model_version_id)
            if postponed:
                ledger.postpone(session, owner, postponed)
            if crashed:
                ledger.postpone(session, owner, crashed, charged=True)

    def _make_previews(self, deadline: float) -> None:
        """Make the previews that a backlog left behind, the newest first, until something waits to be scored."""
        while self._unseen and time.monotonic() < deadline:
            with reading() as session:
                if claim_order.any_waiting(session):
                    return
            due = [self._unseen.pop() for _ in range(min(len(self._unseen), self._settings.batch_size))]
            for part in self._prepare(due, self._active.loaded(), preview=True):
                for film in part.result():
                    if not isinstance(film, Prepared | Refused):
                        logger.warning("a film has no preview: %s", film.detail)
