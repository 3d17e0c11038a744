"""Makes the previews of films that were scored in a backlog, later, when no film waits to be scored."""

import logging
import time
from collections import deque
from collections.abc import Iterable

from worker.database import reading
from worker.films.decoder_pool import DecoderPool
from worker.films.preparation import Place, Prepared, RejectedFilm
from worker.scoring.active_model import ActiveModel
from worker.studies import claim_order
from worker.studies.claims import Claim

logger = logging.getLogger(__name__)

#: How many films are remembered. The newest ones are; an older film gets its preview when a reader opens it.
MAX_FILMS = 2_000


class LatePreviews:
    """Remembers films without a preview and makes the previews, newest film first."""

    def __init__(self, decoders: DecoderPool, active_model: ActiveModel, batch_size: int) -> None:
        """Keep what is needed to decode; remember no film yet."""
        self._decoders = decoders
        self._active_model = active_model
        self._batch_size = batch_size
        self._films: deque[Claim] = deque(maxlen=MAX_FILMS)

    def add(self, claims: Iterable[Claim]) -> None:
        """Remember films that were scored without a preview."""
        self._films.extend(claims)

    def make(self, deadline: float) -> None:
        """Make previews until `deadline` (`time.monotonic`, in seconds), or until a film waits to be scored."""
        while self._films and time.monotonic() < deadline:
            with reading() as session:
                if claim_order.any_waiting(session):
                    return
            due = [self._films.pop() for _ in range(min(len(self._films), self._batch_size))]
            places = [Place(claim.root, claim.path, claim.sha256) for claim in due]
            for part in self._decoders.prepare(places, self._active_model.loaded().preparation, preview=True):
                for film in part.result():
                    if not isinstance(film, Prepared | RejectedFilm):
                        logger.warning("a film has no preview: %s", film.detail)
