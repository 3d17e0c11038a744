"""Random changes to training films, so that a network memorises neither single films nor the look of a scanner.

Films are 8-bit before and after, as in scoring. There are no mirror images: the side on which the heart lies matters.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from worker.decoding import Grey

GREY_LEVELS = np.linspace(0, 1, 256)
#: Resampling makes no side smaller than this, so films of this size are not resampled at all.
LEAST_SIDE_PIXELS = 64
#: Share of films that are resampled, and share of films to which noise is added.
RESAMPLED_SHARE, NOISY_SHARE = 0.5, 0.3


@dataclass(frozen=True)
class Augmentation:
    """Greatest amount of each change; amounts are drawn uniformly for each film and epoch, and 0 switches a change off.

    Shear, zoom, shift and rotation imitate the patient's position. Grey levels, sharpness and noise come from the
    scanner and the collection; when they vary, a network cannot use them as a short cut to the class.
    """

    #: Shear, zoom and shift as shares of the side.
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    rotation_degrees: float = 0.0
    #: Grey values are raised to the power of e ** amount, with amounts from -gamma to gamma.
    gamma: float = 0.0
    #: Contrast around the middle grey is multiplied by 1 - contrast to 1 + contrast.
    contrast: float = 0.0
    #: Added to or subtracted from every grey value, as a share of white.
    brightness: float = 0.0
    #: Half of the films are shrunk by up to this share of the side and enlarged again.
    resampling: float = 0.0
    #: Greatest standard deviation of Gaussian noise, in grey levels, for three films in ten.
    noise_levels: float = 0.0

    def apply(self, film: Grey, rng: np.random.Generator) -> Grey:
        """Return a changed film, uint8, of the same shape (height, width); pixels from outside the film are black."""
        image = self._moved(Image.fromarray(film), rng)
        if self.resampling and rng.random() < RESAMPLED_SHARE:
            image = self._coarsened(image, rng)
        if self.gamma or self.contrast or self.brightness:
            image = image.point(self._grey_levels(rng))
        changed = np.asarray(image)
        if self.noise_levels and rng.random() < NOISY_SHARE:
            noise = rng.normal(0, rng.uniform(0, self.noise_levels), film.shape)
            changed = np.clip(changed + noise, 0, 255).astype(np.uint8)
        return changed

    def _moved(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the image rotated, sheared, zoomed and shifted by one affine map about its centre."""
        width, height = image.size
        angle = math.radians(rng.uniform(-self.rotation_degrees, self.rotation_degrees))
        slant_x, slant_y = rng.uniform(-self.shear, self.shear, 2)
        zoom_x, zoom_y = 1 + rng.uniform(-self.zoom, self.zoom, 2)
        shift = rng.uniform(-self.shift, self.shift, 2) * (width, height)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        map_ = np.diag([zoom_x, zoom_y]) @ np.array([[1, slant_x], [slant_y, 1]]) @ turn
        centre = np.array([width / 2, height / 2])
        offset = centre + shift - map_ @ centre
        coefficients = (*map_[0], offset[0], *map_[1], offset[1])
        return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)

    def _coarsened(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the image shrunk by one of two filters and enlarged again, as if stored by another collection."""
        share = rng.uniform(1 - self.resampling, 1)
        width, height = (min(side, max(LEAST_SIDE_PIXELS, round(side * share))) for side in image.size)
        kernel = Image.Resampling.BILINEAR if rng.random() < 0.5 else Image.Resampling.BOX  # noqa: PLR2004 - a coin
        return image.resize((width, height), kernel).resize(image.size, Image.Resampling.BILINEAR)

    def _grey_levels(self, rng: np.random.Generator) -> list[int]:
        """Return the new value of each of the 256 grey values."""
        levels = GREY_LEVELS ** math.exp(rng.uniform(-self.gamma, self.gamma))
        levels = (levels - 0.5) * (1 + rng.uniform(-self.contrast, self.contrast)) + 0.5
        levels = levels + rng.uniform(-self.brightness, self.brightness)
        return [round(level) for level in np.clip(levels, 0, 1) * 255]
