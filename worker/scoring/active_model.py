"""Loads the active model version into this process: its network, and how films are prepared for it."""

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
    """The network of one version, and the id of the version's row. One of these serves a batch in all its steps."""

    classifier: Classifier
    model_version_id: int
    preparation: Preparation


class ActiveModel:
    """Keeps the active version loaded; loads another version once that one is active."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        self._loaded_model: LoadedModel | None = None

    def load_current(self) -> LoadedModel:
        """Return the version that is active now, loaded; see `load`."""
        return self.load(_current_id())

    @through_outages
    def load(self, version_id: int | None) -> LoadedModel:
        """Return the active version; load it unless `version_id` is the loaded version.

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
            self._settings.models_dir / row.version, registered=row.card, batch_size=self._settings.batch_size
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
        """Return the loaded version.

        Raises:
            ModelUnavailable: no version is loaded.
        """
        if self._loaded_model is None:
            raise ModelUnavailable("no model version is loaded")
        return self._loaded_model


@through_outages
def _current_id() -> int | None:
    with reading() as session:
        return registry.active_id(session)


def _spare_the_collector() -> None:
    """Exclude the loaded network from garbage collection: each pass over it would stop every thread for 0.2 s."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
