"""The four steps of a batch of films: claim, decode, predict, record."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

import numpy as np

from worker.database import through_outages, transaction
from worker.films.decoder_pool import DecoderPool
from worker.films.preparation import Crashed, FilmOutcome, Place, Postponed, Prepared, RejectedFilm
from worker.models import registry
from worker.scoring.active_model import ActiveModel
from worker.scoring.batch_size import BatchSizer
from worker.scoring.held_films import HeldFilms
from worker.scoring.late_previews import LatePreviews
from worker.scoring.pipeline import Batch, Claims, Outcomes
from worker.settings import Settings
from worker.studies import ledger
from worker.studies.claims import Claim, Rejected, Scored
from worker.studies.records import Priority
from worker.telemetry import metrics

logger = logging.getLogger(__name__)


class BatchSteps:
    """The steps as they are done in production: with the ledger, the decoders and the active version."""

    def __init__(
        self,
        settings: Settings,
        decoders: DecoderPool,
        active_model: ActiveModel,
        batch_sizer: BatchSizer,
        late_previews: LatePreviews,
    ) -> None:
        """Keep what the steps need; load nothing."""
        self._settings = settings
        self._decoders = decoders
        self._active_model = active_model
        self._batch_sizer = batch_sizer
        self._late_previews = late_previews
        self._held = HeldFilms()
        self._max_wait = {
            Priority.ROUTINE: timedelta(seconds=settings.max_wait_routine_seconds),
            Priority.OFFPEAK: timedelta(seconds=settings.max_wait_offpeak_seconds),
        }

    @through_outages
    def claim(self, owner: str, *, others_in_flight: bool) -> Claims:
        """Claim a batch, and read which version is to score it; after an error, find the batch that it claimed."""
        limit = self._batch_sizer.films
        self._held.begin(owner)
        with self._held.doubting_errors(), transaction() as session:
            claims = self._held.unknown(session, others_in_flight=others_in_flight) or ledger.claim(
                session,
                owner,
                limit=limit,
                lease_seconds=self._settings.lease_seconds,
                max_attempts=self._settings.max_attempts,
                max_wait=self._max_wait,
                others_in_flight=others_in_flight,
            )
            version_id = registry.active_id(session)
        self._held.add(claims)
        return Claims(claims, version_id, full=len(claims) >= limit)

    def decode(self, claims: Claims) -> Batch:
        """Hand the films of a batch to the decoders.

        Raises:
            ModelUnavailable: another version has become active, and it cannot be loaded.
        """
        model = self._active_model.load(claims.model_version_id)
        # In a backlog the previews can wait and the other films cannot.
        preview = not claims.full
        places = [Place(claim.root, claim.path, claim.sha256) for claim in claims.films]
        parts = self._decoders.prepare(places, model.preparation, preview=preview)
        return Batch(model, claims.films, parts, preview)

    def predict(self, batch: Batch) -> Outcomes:
        """Run the network on the films that could be decoded, and sort the others by their outcome."""
        answers = [answer for part in batch.parts for answer in part.result()]
        films = list(zip(batch.claims, answers, strict=True))
        scored = _predict(batch, [(claim, film) for claim, film in films if isinstance(film, Prepared)])
        rejected = [
            Rejected(claim.image_id, film.sha256, film.reason, film.detail)
            for claim, film in films
            if isinstance(film, RejectedFilm)
        ]
        postponed = [claim.image_id for claim, film in films if isinstance(film, Postponed)]
        crashed = [claim.image_id for claim, film in films if isinstance(film, Crashed) and not film.is_fault]
        faulty = [claim.image_id for claim, film in films if isinstance(film, Crashed) and film.is_fault]
        if not batch.preview:
            self._late_previews.add(claim for claim, film in films if isinstance(film, Prepared))
        count = len(crashed) + len(faulty)
        metrics.count_batch(len(scored), [film.reason for film in rejected], count)
        counts = len(films), len(scored), len(rejected), len(postponed), count
        logger.info("a batch of %d: %d scored, %d rejected, %d postponed, %d crashed", *counts)
        _log_troubles(answers)
        return Outcomes([*rejected, *scored], postponed, crashed, faulty, batch.model.model_version_id)

    @metrics.recording.time()
    @through_outages
    def record(self, owner: str, outcomes: Outcomes) -> None:
        """Record the outcomes of a batch in one transaction."""
        with transaction() as session:
            ledger.record(session, owner, outcomes.finished, outcomes.model_version_id)
            if outcomes.postponed:
                ledger.postpone(session, owner, outcomes.postponed)
            if outcomes.crashed:
                ledger.postpone(session, owner, outcomes.crashed, charged=True)
            if outcomes.faulty:
                ledger.postpone_faulty(session, owner, outcomes.faulty)
        finished = [film.image_id for film in outcomes.finished]
        self._held.remove([*finished, *outcomes.postponed, *outcomes.crashed, *outcomes.faulty])

    def in_doubt(self) -> bool:
        """Return whether the task may hold films that it does not know of, since a claim of it failed."""
        return self._held.in_doubt


def _predict(batch: Batch, prepared: Sequence[tuple[Claim, Prepared]]) -> list[Scored]:
    if not prepared:
        return []
    classifier = batch.model.classifier
    with metrics.predicting.time():
        probabilities = classifier.predict(np.stack([film.film for _, film in prepared]))
    return [
        Scored(claim.image_id, film.sha256, dict(zip(classifier.card.classes, row, strict=True)), asdict(film.summary))
        for (claim, film), row in zip(prepared, probabilities.tolist(), strict=True)
    ]


def _log_troubles(answers: Sequence[FilmOutcome]) -> None:
    """Log each kind of trouble once for a batch; its text names no film."""
    for detail in {film.detail for film in answers if isinstance(film, Postponed | Crashed)}:
        logger.warning("films are postponed or crashed: %s", detail)
