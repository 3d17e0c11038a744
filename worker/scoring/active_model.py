"""The active version as a process has it loaded: its network, and what films are prepared for."""

import gc
import logging
from dataclasses import dataclass

from worker.database import reading, through_outages
from worker.decoding.limits import Limits
from worker.errors import ModelUnavailable
from worker.films.preparation import Preparation
from worker.models import registry
from worker.models.classifier import Classifier
from worker.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """The loaded network and the row that names it: what a batch is scored by, from its decoding on."""

    classifier: Classifier
    model_version_id: int
    preparation: Preparation


class ActiveModel:
    """Loads the active version, and the next one when it takes its place."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        self._loaded_model: LoadedModel | None = None

    def load_current(self) -> LoadedModel:
        """Return the version that is active at this moment, as `load` does."""
        return self.load(_current_id())

    @through_outages
    def load(self, version_id: int | None) -> LoadedModel:
        """Return the active version, loading it if it is not the loaded one; a batch is scored by one version.

        Raises:
            ModelUnavailable: there is no active version, or it cannot be loaded.
        """
        if self._loaded_model and self._loaded_model.model_version_id == version_id:
            return self._loaded_model
        with reading() as session:
            row = registry.active(session)
        if row is None:
            raise ModelUnavailable("no model version is active: run `thoraq models import` or `models promote`")
        classifier = Classifier.load(
            self._settings.models_dir / row.version, sha256=row.sha256, batch_size=self._settings.batch_size
        )
        preparation = Preparation(
            roots=self._settings.roots,
            limits=Limits(self._settings.max_file_bytes, self._settings.max_pixels),
            previews_dir=self._settings.previews_dir,
            input_size=classifier.card.input_size,
            film_check=classifier.film_check,
        )
        self._loaded_model = LoadedModel(classifier, row.id, preparation)
        _spare_the_collector()
        logger.info("scoring with %s", row.version)
        return self._loaded_model

    def loaded(self) -> LoadedModel:
        """Return the version that is loaded.

        Raises:
            ModelUnavailable: none is.
        """
        if self._loaded_model is None:
            raise ModelUnavailable("no model version is loaded")
        return self._loaded_model


@through_outages
def _current_id() -> int | None:
    with reading() as session:
        return registry.active_id(session)


def _spare_the_collector() -> None:
    """Have the garbage collector pass over all that is loaded now: each walk over it stops every thread for 0.2 s."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
