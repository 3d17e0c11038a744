"""The main job as plain code: claim, open, decode, predict, record. Knows no Celery."""

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from worker import archive, ledger, previews, registry
from worker.classifier import Classifier, device_name
from worker.database import reading, through_outages, transaction
from worker.decoding import Grey, Limits, decode
from worker.errors import ModelUnavailable, Reason, RejectedImage, TryAgainLater
from worker.ledger import Claim, Rejected, Scored
from worker.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A decoded film at the network's input size."""

    image_id: int
    sha256: str
    film: Grey


@dataclass(frozen=True)
class Postponed:
    """A film that trouble outside kept from being read."""

    image_id: int


class Scorer:
    """One process's scoring: the active network and a pool of decoding threads, both made on first use."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.decode_threads or os.cpu_count() or 1, thread_name_prefix="decode")
        self._limits = Limits(settings.max_file_bytes, settings.max_pixels)
        self._roots = {**settings.image_roots, archive.ARCHIVE: settings.archive_dir}
        self._classifier: Classifier | None = None
        self._model_version_id = 0

    def score_waiting(self, owner: str) -> bool:
        """Score batch after batch while films wait and the time budget lasts; tell whether some still wait.

        Args:
            owner: under whose name films are claimed; the same name claims its own again after a crash.

        Raises:
            ModelUnavailable: there is no active version, or it cannot be loaded. Nothing is claimed.
        """
        deadline = time.monotonic() + self._settings.task_budget_seconds
        self.follow_active_version()
        while time.monotonic() < deadline:
            if not (claims := self._claim(owner)):
                break
            self._score(claims, owner)
            self.follow_active_version()
        with reading() as session:
            return ledger.any_waiting(session)

    @through_outages
    def follow_active_version(self) -> None:
        """Load the active version if it is not the loaded one; a batch is scored by one version."""
        with reading() as session:
            if self._model_version_id and registry.active_id(session) == self._model_version_id:
                return
            row = registry.active(session)
        if row is None:
            raise ModelUnavailable("no model version is active: run `thoraq models import` or `models promote`")
        self._classifier = Classifier.load(
            self._settings.models_dir / row.version, sha256=row.sha256, batch_size=self._settings.batch_size
        )
        self._model_version_id = row.id
        logger.info("scoring with %s", row.version)

    def loaded(self) -> tuple[str, str]:
        """Return the loaded version's name and the device on which it computes."""
        return self._network().card.version, device_name()

    def _network(self) -> Classifier:
        if self._classifier is None:
            raise ModelUnavailable("no model version is loaded")
        return self._classifier

    @through_outages
    def _claim(self, owner: str) -> list[Claim]:
        with transaction() as session:
            return ledger.claim(
                session,
                owner,
                limit=self._settings.batch_size,
                lease_seconds=self._settings.lease_seconds,
                max_attempts=self._settings.max_attempts,
            )

    def _score(self, claims: Sequence[Claim], owner: str) -> None:
        """Take one batch from claim to record."""
        classifier = self._network()
        results = list(self._pool.map(self._prepare, claims))
        prepared = [result for result in results if isinstance(result, Prepared)]
        outcomes: list[Scored | Rejected] = [result for result in results if isinstance(result, Rejected)]
        if prepared:
            probabilities = classifier.predict(np.stack([result.film for result in prepared]))
            outcomes += [
                Scored(result.image_id, result.sha256, dict(zip(classifier.card.classes, row.tolist(), strict=True)))
                for result, row in zip(prepared, probabilities, strict=True)
            ]
        self._record(owner, outcomes, [result.image_id for result in results if isinstance(result, Postponed)])
        logger.info("a batch of %d: %d scored, %d rejected", len(claims), len(prepared), len(outcomes) - len(prepared))

    def _prepare(self, claim: Claim) -> Prepared | Rejected | Postponed:
        """Open and decode one film; runs in a thread, where the decoders release the interpreter lock."""
        sha256 = None
        try:
            data = archive.read(claim.root, claim.path, self._roots, self._limits.max_bytes)
            sha256 = hashlib.sha256(data).hexdigest()
            if claim.sha256 and claim.sha256 != sha256:
                raise RejectedImage(Reason.CHECKSUM_MISMATCH, "the file is not the one that the sender announced")
            film = decode(data, self._limits)
            previews.put_preview(film, sha256, self._settings.previews_dir)
            return Prepared(claim.image_id, sha256, self._network().prepare(film))
        except RejectedImage as error:
            return Rejected(claim.image_id, sha256, error.reason, error.detail)
        except TryAgainLater as error:
            logger.warning("a film is postponed: %s", error)
            return Postponed(claim.image_id)

    @through_outages
    def _record(self, owner: str, outcomes: Sequence[Scored | Rejected], postponed: Sequence[int]) -> None:
        with transaction() as session:
            ledger.record(session, owner, outcomes, self._model_version_id)
            if postponed:
                ledger.release(session, owner, postponed)
