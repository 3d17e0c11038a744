"""Draws requested heat maps: read the film, decode it, ask the network where it looked, store a PNG.

Does not import Celery.
"""

import logging
import time

import numpy as np
from PIL import Image

from worker.decoding import Limits, decode
from worker.errors import ModelUnavailable, NoHeatMap, RejectedImage, TryAgainLater
from worker.films import archive
from worker.models.classifier import Classifier
from worker.models.grad_cam import Heat
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import HeatMapRequest, heat_map_path
from worker.settings import Settings
from worker.storage import atomic_files, disk

logger = logging.getLogger(__name__)

#: Longest side of a stored heat map. A feature map has about a dozen cells a side, so more pixels would show no more.
SIDE_PIXELS = 256


class HeatMapDrawer:
    """Draws heat maps with the model version that made each prediction; the version used last stays loaded."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; load nothing yet."""
        self._settings = settings
        self._limits = Limits(settings.max_file_bytes, settings.max_pixels)
        self._roots = settings.roots
        self._classifier: Classifier | None = None

    def draw_requested(self) -> None:
        """Draw one heat map after the other while any is requested and the time budget lasts."""
        deadline = time.monotonic() + self._settings.task_budget_seconds
        while time.monotonic() < deadline and (request := heat_map_requests.claim()):
            self._draw(request)

    def _draw(self, request: HeatMapRequest) -> None:
        """Draw one heat map and record that it is done, or why it failed."""
        try:
            film = decode(self._read(request), self._limits)
            classifier = self._load(request)
            heat = classifier.heat_map(classifier.prepare(film), request.finding)
            self._store(request, heat, film.shape)
        except (RejectedImage, TryAgainLater, ModelUnavailable, NoHeatMap) as error:
            logger.warning("heat map %d failed: %s", request.heat_map_id, type(error).__name__)
            heat_map_requests.fail(request.heat_map_id, str(error))
        else:
            heat_map_requests.finish(request.heat_map_id)
            logger.info("heat map %d is drawn", request.heat_map_id)

    def _read(self, request: HeatMapRequest) -> bytes:
        sha256, max_bytes = request.image_sha256, self._limits.max_bytes
        return archive.read_verified(request.root, request.path, sha256, self._roots, max_bytes)

    def _load(self, request: HeatMapRequest) -> Classifier:
        if self._classifier is None or self._classifier.card.version != request.card.version:
            directory = self._settings.models_dir / request.card.version
            self._classifier = Classifier.load(directory, registered=request.card, batch_size=1)
        return self._classifier

    def _store(self, request: HeatMapRequest, heat: Heat, shape: tuple[int, ...]) -> None:
        """Store the heat of the whole film as a PNG whose grey and alpha channels both hold the heat.

        Laid over the film, it is a white veil; used as a mask, it takes any colour.

        Raises:
            NotStored: the disk is full or read-only.
        """
        version, finding = request.card.version, request.finding
        target = heat_map_path(self._settings.heat_maps_dir, request.image_sha256, version, finding)
        grey = picture(heat, shape)
        with disk.storing("the heat map"), atomic_files.replacing(target, durable=False) as staging:
            Image.merge("LA", (grey, grey)).save(staging, "PNG", optimize=True)


def picture(heat: Heat, shape: tuple[int, ...]) -> Image.Image:
    """Return heat in [0, 1] as an 8-bit grey picture with the proportions of a film of `shape` (height, width)."""
    height, width = shape
    scale = SIDE_PIXELS / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = Image.fromarray((heat * 255).round().astype(np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)
