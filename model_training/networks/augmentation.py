"""How films are deformed while a network learns, so that it does not learn the film, nor the scanner, by heart.

Works on bytes and gives bytes: a network learns on 8-bit films, as it will be used. No mirror image: the side on which
the heart lies matters.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from worker.decoding import Grey

GREY_LEVELS = np.linspace(0, 1, 256)
#: No film is made coarser than this on the way; networks of this size see no resampling.
LEAST_SIDE_PIXELS = 64
#: How often a film is resampled, and how often noise is added.
RESAMPLED_SHARE, NOISY_SHARE = 0.5, 0.3


@dataclass(frozen=True)
class Augmentation:
    """How far each deformation may go; amounts are drawn uniformly for each film and epoch. 0 leaves a film as it is.

    The geometry is the patient's and the projection's. The grey levels, the sharpness and the noise are the scanner's
    and the collection's: a network that cannot rely on them looks for the finding.
    """

    #: Slant, zoom and shift, as shares of the side.
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    rotation_degrees: float = 0.0
    #: Grey values to the power of e ** (-gamma to gamma).
    gamma: float = 0.0
    #: Contrast times 1 - contrast to 1 + contrast, around the middle grey.
    contrast: float = 0.0
    #: Added to every grey value, as a share of white.
    brightness: float = 0.0
    #: Half of the films are made smaller by up to this share of the side, and large again.
    resampling: float = 0.0
    #: Greatest standard deviation of Gaussian noise, in grey levels, for three films in ten.
    noise_levels: float = 0.0

    def apply(self, film: Grey, rng: np.random.Generator) -> Grey:
        """Return a deformed film, uint8, shape (height, width) as given; what lies outside the film is black."""
        image = self._moved(Image.fromarray(film), rng)
        if self.resampling and rng.random() < RESAMPLED_SHARE:
            image = self._coarsened(image, rng)
        if self.gamma or self.contrast or self.brightness:
            image = image.point(self._grey_levels(rng))
        deformed = np.asarray(image)
        if self.noise_levels and rng.random() < NOISY_SHARE:
            noise = rng.normal(0, rng.uniform(0, self.noise_levels), film.shape)
            deformed = np.clip(deformed + noise, 0, 255).astype(np.uint8)
        return deformed

    def _moved(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the picture after one affine map about its centre: turned, slanted, zoomed and shifted at once."""
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
        """Return the picture as another collection might have stored it: smaller, by either of two filters."""
        share = rng.uniform(1 - self.resampling, 1)
        width, height = (min(side, max(LEAST_SIDE_PIXELS, round(side * share))) for side in image.size)
        kernel = Image.Resampling.BILINEAR if rng.random() < 0.5 else Image.Resampling.BOX  # noqa: PLR2004 - a coin
        return image.resize((width, height), kernel).resize(image.size, Image.Resampling.BILINEAR)

    def _grey_levels(self, rng: np.random.Generator) -> list[int]:
        """Return what becomes of each of the 256 grey values."""
        levels = GREY_LEVELS ** math.exp(rng.uniform(-self.gamma, self.gamma))
        levels = (levels - 0.5) * (1 + rng.uniform(-self.contrast, self.contrast)) + 0.5
        levels = levels + rng.uniform(-self.brightness, self.brightness)
        return [round(level) for level in np.clip(levels, 0, 1) * 255]
