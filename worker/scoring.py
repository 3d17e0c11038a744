"""The main job as plain code: claim, open, decode, predict, record, all overlapped. Knows no Celery."""

import gc
import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from worker import archive, ledger, measurements, previews, registry
from worker.classifier import Classifier, device_name
from worker.database import reading, through_outages, transaction
from worker.decoding import Grey, Limits, decode
from worker.errors import ModelUnavailable, Reason, RejectedImage, TryAgainLater
from worker.film_look import FilmLook, look_at
from worker.ledger import Claim, Rejected, Scored
from worker.pace import Pace
from worker.readahead import Readahead
from worker.records import Priority
from worker.settings import Settings

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
class Prepared:
    """A decoded film at the network's input size."""

    image_id: int
    sha256: str
    film: Grey
    look: FilmLook


@dataclass(frozen=True)
class Postponed:
    """A film that trouble outside kept from being read."""

    image_id: int


@dataclass(frozen=True)
class Scale:
    """The loaded network and the row that names it: what a batch is scored by, from its decoding on."""

    classifier: Classifier
    model_version_id: int


@dataclass(frozen=True)
class Batch:
    """Films on their way from claim to record."""

    scale: Scale
    films: Sequence[Future[Prepared | Rejected | Postponed]]


def _spare_the_collector() -> None:
    """Have the garbage collector pass over all that is loaded now: each walk over it stops every thread for 0.2 s."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Scorer:
    """One process's scoring: the active network, threads that decode, one that claims and one that records.

    The decoders release the interpreter's lock, so threads use every core. Claims and records are made in order, and
    beside each other: a film is claimed, decoded, predicted and recorded while its neighbours are at another step.
    """

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        threads = settings.decode_threads or os.cpu_count() or 1
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._claims = ThreadPoolExecutor(1, thread_name_prefix="claim")
        self._records = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._pace = Pace(settings.batch_size, threads)
        self._limits = Limits(settings.max_file_bytes, settings.max_pixels)
        self._roots = archive.all_roots(settings)
        self._max_wait = {
            Priority.ROUTINE: timedelta(seconds=settings.max_wait_routine_seconds),
            Priority.OFFPEAK: timedelta(seconds=settings.max_wait_offpeak_seconds),
        }
        self._scale: Scale | None = None
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
        self._load(self._active_version_id())
        self._take_back(owner)
        try:
            while self._flow(owner, deadline):
                pass
        except ModelUnavailable:
            self._give_back(owner)
            raise
        self._make_previews(deadline)
        with reading() as session:
            return ledger.any_waiting(session)

    def loaded(self) -> tuple[str, str]:
        """Return the loaded version's name and the device on which it computes."""
        return self._loaded().classifier.card.version, device_name()

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
                decoded = bool(ahead) and ahead[0].films[-1].done()
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
                    coming: list[Future[Any]] = [ahead[0].films[-1], *filter(None, [claiming])]
                    wait(coming, return_when=FIRST_COMPLETED)
                elif ahead:
                    batch = ahead.popleft()
                    behind.append(self._predict(owner, batch))
                    while len(behind) > BATCHES_BEHIND:
                        behind.popleft().result()
                    self._pace.note(len(batch.films), time.monotonic() - since)
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
        limit = self._pace.films
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
    def _take_back(self, owner: str) -> None:
        with transaction() as session:
            ledger.take_back(session, owner)

    @through_outages
    def _give_back(self, owner: str) -> None:
        with transaction() as session:
            ledger.give_back(session, owner)

    @through_outages
    def _active_version_id(self) -> int | None:
        with reading() as session:
            return registry.active_id(session)

    @through_outages
    def _load(self, version_id: int | None) -> Scale:
        """Return the active version, loading it if it is not the loaded one; a batch is scored by one version."""
        if self._scale and self._scale.model_version_id == version_id:
            return self._scale
        with reading() as session:
            row = registry.active(session)
        if row is None:
            raise ModelUnavailable("no model version is active: run `thoraq models import` or `models promote`")
        classifier = Classifier.load(
            self._settings.models_dir / row.version, sha256=row.sha256, batch_size=self._settings.batch_size
        )
        self._scale = Scale(classifier, row.id)
        _spare_the_collector()
        logger.info("scoring with %s", row.version)
        return self._scale

    def _loaded(self) -> Scale:
        if self._scale is None:
            raise ModelUnavailable("no model version is loaded")
        return self._scale

    def _decode(self, claimed: Claims) -> Batch:
        """Give the films of a batch to the decoders.

        Raises:
            ModelUnavailable: another version has become active, and cannot be loaded.
        """
        claims, scale = claimed.films, self._load(claimed.model_version_id)
        # In a backlog previews can wait, neighbours cannot.
        if claimed.full:
            self._unseen.extend(claims)
        files = Readahead(claims, self._begin_to_read)
        prepare = partial(self._prepare, files, scale.classifier, preview=not claimed.full)
        return Batch(scale, [self._decoders.submit(prepare, claim) for claim in claims])

    def _begin_to_read(self, claim: Claim) -> Callable[[], bytes]:
        return archive.begin_to_read(claim.root, claim.path, self._roots, self._limits.max_bytes)

    def _predict(self, owner: str, batch: Batch) -> Future[None]:
        """Ask the network about the films of a batch, and hand all outcomes to the ledger's thread."""
        results = [film.result() for film in batch.films]
        prepared = [result for result in results if isinstance(result, Prepared)]
        outcomes: list[Scored | Rejected] = [result for result in results if isinstance(result, Rejected)]
        if prepared:
            classes = batch.scale.classifier.card.classes
            with measurements.predicting.time():
                probabilities = batch.scale.classifier.predict(np.stack([result.film for result in prepared]))
            outcomes += [
                Scored(result.image_id, result.sha256, dict(zip(classes, row, strict=True)), result.look)
                for result, row in zip(prepared, probabilities.tolist(), strict=True)
            ]
        postponed = [result.image_id for result in results if isinstance(result, Postponed)]
        measurements.count_batch(len(prepared), [entry.reason for entry in outcomes if isinstance(entry, Rejected)])
        logger.info("a batch of %d: %d scored, %d postponed", len(results), len(prepared), len(postponed))
        return self._records.submit(self._record, owner, outcomes, postponed, batch.scale.model_version_id)

    @measurements.recording.time()
    @through_outages
    def _record(
        self, owner: str, outcomes: Sequence[Scored | Rejected], postponed: Sequence[int], model_version_id: int
    ) -> None:
        with transaction() as session:
            ledger.record(session, owner, outcomes, model_version_id)
            if postponed:
                ledger.release(session, owner, postponed)

    @measurements.decoding.time()
    def _prepare(
        self, files: Readahead, classifier: Classifier, claim: Claim, *, preview: bool
    ) -> Prepared | Rejected | Postponed:
        """Open and decode one film; runs in a thread, where the decoders release the interpreter lock."""
        sha256 = None
        try:
            data = files.take(claim)
            sha256 = hashlib.sha256(data).hexdigest()
            if claim.sha256 and claim.sha256 != sha256:
                raise RejectedImage(Reason.CHECKSUM_MISMATCH, "the file is not the one that the sender announced")
            film = decode(data, self._limits)
            if preview:
                previews.put_preview(film, sha256, self._settings.previews_dir)
            prepared = classifier.prepare(film)
            return Prepared(claim.image_id, sha256, prepared, look_at(film, prepared))
        except RejectedImage as error:
            return Rejected(claim.image_id, sha256, error.reason, error.detail)
        except TryAgainLater as error:
            logger.warning("a film is postponed: %s", error)
            return Postponed(claim.image_id)

    def _make_previews(self, deadline: float) -> None:
        """Make the previews that a backlog left behind, the newest first, until something waits to be scored."""
        while self._unseen and time.monotonic() < deadline:
            with reading() as session:
                if ledger.any_waiting(session):
                    return
            due = [self._unseen.pop() for _ in range(min(len(self._unseen), self._settings.batch_size))]
            list(self._decoders.map(self._make_preview, due))

    def _make_preview(self, claim: Claim) -> None:
        try:
            data = self._begin_to_read(claim)()
            previews.put_preview(
                decode(data, self._limits), hashlib.sha256(data).hexdigest(), self._settings.previews_dir
            )
        except (RejectedImage, TryAgainLater) as error:
            logger.info("a film has no preview: %s", error)
