"""The main job: scores waiting films batch after batch, within the time budget of one task."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from worker.database import reading, through_outages, transaction
from worker.errors import ModelUnavailable
from worker.films.decoder_pool import decoders
from worker.models.classifier import device_name
from worker.scoring.active_model import ActiveModel
from worker.scoring.batch_size import BatchSizer
from worker.scoring.batch_steps import BatchSteps
from worker.scoring.late_previews import LatePreviews
from worker.scoring.pipeline import Pipeline
from worker.settings import Settings
from worker.studies import claim_order, ledger


class Scorer:
    """One process's scoring: the active network, the decoders, a thread that claims and a thread that records."""

    def __init__(self, settings: Settings) -> None:
        """Start the decoders; load no network yet."""
        count = settings.decoders or os.cpu_count() or 1
        pool = decoders(count)
        self._budget_seconds = settings.task_budget_seconds
        self._claim_thread = ThreadPoolExecutor(1, thread_name_prefix="claim")
        self._record_thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._batch_sizer = BatchSizer(settings.batch_size, count)
        self._active_model = ActiveModel(settings)
        self._late_previews = LatePreviews(pool, self._active_model, settings.batch_size)
        self._steps = BatchSteps(settings, pool, self._active_model, self._batch_sizer, self._late_previews)

    def score_waiting(self, owner: str) -> bool:
        """Score while films wait and the time budget lasts; return whether some still wait.

        Args:
            owner: the name under which films are claimed. Films that this owner claimed before a crash wait again.

        Raises:
            ModelUnavailable: there is no active version, or it cannot be loaded. No film stays claimed.
        """
        deadline = time.monotonic() + self._budget_seconds
        self._active_model.load_current()
        self._reclaim(owner)
        try:
            while self._pipeline(owner, deadline).run():
                pass
        except ModelUnavailable:
            self._return_uncharged(owner)
            raise
        if self._steps.in_doubt():  # Nothing is in flight any more, so that what the ledger still has is a lost claim.
            self._return_uncharged(owner)
        self._late_previews.make(deadline)
        with reading() as session:
            return claim_order.any_waiting(session)

    def loaded(self) -> tuple[str, str]:
        """Return the loaded version's name and the device on which it computes."""
        return self._active_model.loaded().classifier.card.version, device_name()

    def _pipeline(self, owner: str, deadline: float) -> Pipeline:
        return Pipeline(
            self._steps,
            owner=owner,
            deadline=deadline,
            claim_thread=self._claim_thread,
            record_thread=self._record_thread,
            batch_sizer=self._batch_sizer,
        )

    @through_outages
    def _reclaim(self, owner: str) -> None:
        with transaction() as session:
            ledger.reclaim(session, owner)

    @through_outages
    def _return_uncharged(self, owner: str) -> None:
        with transaction() as session:
            ledger.return_uncharged(session, owner)
