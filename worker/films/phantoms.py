"""Drawn chest phantoms: a small physical model of a thorax, projected by Beer-Lambert's law, with photon noise.

They let the demo and the tests run without a patient's film. Each has the word PHANTOM in a corner.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, PngImagePlugin
from scipy.ndimage import gaussian_filter

from worker.decoding import Grey
from worker.storage import atomic_files

Field = npt.NDArray[np.float64]

SIDE_PIXELS = 256
#: Half the width of the drawn field in cm: a 36 cm detector.
HALF_FIELD_CM = 18.0
#: Linear attenuation per cm at about 60 keV, the mean of a chest exposure (after NIST's tables, rounded).
SOFT_TISSUE, LUNG, BONE, AIR = 0.20, 0.055, 0.48, 0.0
#: Where the clavicles end, from the midline.
CLAVICLE_END_CM = 13
#: Photons per pixel without an object; sets the noise.
PHOTONS = 40_000
#: The share of the image signal that is scattered in the body; without a grid it would be higher.
SCATTER = 0.25
#: A folder has drawn films if this file in it holds the word `phantoms`.
KIND_FILE = "KIND"
KIND = "phantoms"


@dataclass(frozen=True)
class Thorax:
    """One drawn body: lengths in cm, x to the image's right (the body's left), y downward, z along the beam."""

    x: Field
    y: Field
    random: np.random.Generator
    #: Size of this body against the average one.
    scale: float
    #: (centre x, centre y, half axes x, y, z) of the right and the left lung.
    lungs: tuple[tuple[float, ...], tuple[float, ...]]


def _length(x: Field, y: Field, ellipsoid: tuple[float, ...]) -> Field:
    """Return the length in cm of the parallel beam inside an ellipsoid (centre x, y; half axes x, y, z)."""
    cx, cy, a, b, c = ellipsoid
    length: Field = 2 * c * np.sqrt(np.clip(1 - ((x - cx) / a) ** 2 - ((y - cy) / b) ** 2, 0, None))
    return length


def _dome(lung: tuple[float, ...]) -> tuple[float, ...]:
    """Return the dome of the diaphragm below a lung; the right one stands higher, over the liver."""
    return (lung[0], 14.6 if lung[0] < 0 else 15.4, 7.5, 7.5, 9.0)


def _aerated(thorax: Thorax, lung: tuple[float, ...]) -> Field:
    """Return the length in cm of the beam in the part of a lung above its dome."""
    return np.clip(_length(thorax.x, thorax.y, lung) - _length(thorax.x, thorax.y, _dome(lung)), 0, None)


def _body(random: np.random.Generator, side: int) -> Thorax:
    """Draw a body: its size, its lungs, its place on the detector."""
    scale = random.uniform(0.88, 1.08)
    shift_x, shift_y, turn = random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-0.05, 0.05)
    axis = np.linspace(-HALF_FIELD_CM, HALF_FIELD_CM, side)
    grid_x, grid_y = np.meshgrid(axis, axis)
    x = (np.cos(turn) * (grid_x - shift_x) + np.sin(turn) * (grid_y - shift_y)) / scale
    y = (np.cos(turn) * (grid_y - shift_y) - np.sin(turn) * (grid_x - shift_x)) / scale
    inspiration = random.uniform(0.9, 1.08)
    right = (-6.6, -1.0, 5.9 * random.uniform(0.92, 1.06), 12.0 * inspiration, 8.0)
    left = (6.8, -1.0, 5.5 * random.uniform(0.92, 1.06), 12.0 * inspiration, 8.0)
    return Thorax(x, y, random, scale, (right, left))


def _healthy(thorax: Thorax) -> Field:
    """Return the attenuation integral (dimensionless) of a thorax without a finding."""
    x, y, random = thorax.x, thorax.y, thorax.random
    torso = 19.0 * np.clip(1 - np.abs(x / 16.5) ** 4 - np.abs((y - 2) / 21) ** 6, 0, None) ** 0.5
    total: Field = SOFT_TISSUE * torso
    for lung in thorax.lungs:
        total += (LUNG - SOFT_TISSUE) * np.minimum(_aerated(thorax, lung), torso)
    heart = (1.8 + random.uniform(-0.4, 0.4), 4.2, random.uniform(4.6, 6.0), 5.0, 3.5)
    total += (SOFT_TISSUE - LUNG) * _length(x, y, heart)
    total += _vessels(thorax) + _skeleton(thorax) * (torso > 0)
    return total


def _vessels(thorax: Thorax) -> Field:
    """Return the branching vessels near each hilum, made of many small ellipsoids of soft tissue."""
    total = np.zeros_like(thorax.x)
    for lung in thorax.lungs:
        inward = -np.sign(lung[0])
        for _ in range(26):
            reach = thorax.random.uniform(0, 1)
            cx = lung[0] + inward * (2.6 - 5.5 * reach * thorax.random.uniform(0.3, 1))
            cy = lung[1] + thorax.random.normal(0, 1.2 + 3.5 * reach)
            size = 0.9 - 0.6 * reach
            total += (SOFT_TISSUE - LUNG) * _length(thorax.x, thorax.y, (cx, cy, size, size * 0.8, size * 0.8))
    return total


def _skeleton(thorax: Thorax) -> Field:
    """Return ribs (front and back arcs), spine and clavicles."""
    x, y = thorax.x, thorax.y
    thickness_cm = 3.0 * _bar(x, 1.7, power=4)
    inside = _bar(x, 13.5, power=6)
    for number in range(9):
        top = -11.5 + 2.55 * number
        for curve, thickness in ((0.055, 1.1), (-0.035, 0.75)):  # behind, in front
            arc = top + curve * (np.abs(x) - 7) ** 2 + 0.28 * np.abs(x) * np.sign(curve)
            thickness_cm += thickness * inside * _bar(y - arc, 0.55)
    thickness_cm += 0.9 * (np.abs(x) < CLAVICLE_END_CM) * _bar(y + 10.8 + 0.18 * np.abs(x), 0.5)
    return (BONE - SOFT_TISSUE) * thickness_cm


def _bar(distance: Field, half_width: float, power: int = 2) -> Field:
    """Return the profile of a bone of thickness 1 across its axis: round for power 2, flatter above."""
    profile: Field = np.sqrt(np.clip(1 - np.abs(distance / half_width) ** power, 0, None))
    return profile


def _no_finding(_thorax: Thorax) -> Field | float:
    return 0.0


def _effusion(thorax: Thorax) -> Field:
    """Return fluid that fills one lung's base up to a meniscus that climbs the chest wall."""
    lung = thorax.lungs[thorax.random.integers(2)]
    outward = (thorax.x - lung[0]) * np.sign(lung[0]) / lung[2]
    level = lung[1] + lung[3] * thorax.random.uniform(0.0, 0.45) - 2.0 * np.clip(outward, 0, 1) ** 2
    filled: Field = 1 / (1 + np.exp(-(thorax.y - level) * 3))
    return (SOFT_TISSUE - LUNG) * filled * _aerated(thorax, lung)


def _opacity(thorax: Thorax) -> Field:
    """Return a patch of one lung whose air gave way to fluid, with a ragged border."""
    lung, random = thorax.lungs[thorax.random.integers(2)], thorax.random
    cx = lung[0] + random.uniform(-0.35, 0.35) * lung[2]
    cy = lung[1] + random.uniform(-0.45, 0.4) * lung[3]
    total = np.zeros_like(thorax.x)
    for _ in range(7):
        blob = (cx + random.normal(0, 1.1), cy + random.normal(0, 1.1), *random.uniform(1.3, 2.6, 3))
        total = np.maximum(total, _length(thorax.x, thorax.y, blob))
    return (SOFT_TISSUE - LUNG) * total * random.uniform(1.0, 1.5)


def _pneumothorax(thorax: Thorax) -> Field:
    """Return one lung drawn together towards its hilum: denser inside, nothing but air outside it."""
    lung = thorax.lungs[thorax.random.integers(2)]
    remaining = thorax.random.uniform(0.45, 0.7)
    inward = -np.sign(lung[0])
    collapsed = (lung[0] + inward * (1 - remaining) * lung[2] * 0.8, lung[1] + 1.5, *(remaining * a for a in lung[2:]))
    squeezed = min(SOFT_TISSUE, LUNG / remaining**2)
    beam = _aerated(thorax, lung)
    inside = np.minimum(_length(thorax.x, thorax.y, collapsed), beam)
    return (AIR - LUNG) * beam + squeezed * inside


#: What can be drawn, by class of the network that is trained on phantoms.
FINDINGS: dict[str, Callable[[Thorax], Field | float]] = {
    "Effusions": _effusion,
    "No-Findings": _no_finding,
    "Opacity": _opacity,
    "Pneumothorax": _pneumothorax,
}


def draw(finding: str, seed: int, side_pixels: int = SIDE_PIXELS) -> Grey:
    """Return a phantom film with one of `FINDINGS`: uint8, shape (side, side), bone bright; same seed, same film.

    Each beam is attenuated by exp(-integral of mu) (Beer-Lambert); scatter is a blurred share of the signal, the
    detector counts photons (Poisson), and the film shows the logarithm, windowed between two percentiles.
    """
    random = np.random.default_rng((seed, sorted(FINDINGS).index(finding)))
    thorax = _body(random, side_pixels)
    integral = np.clip(_healthy(thorax) + FINDINGS[finding](thorax), 0, None) * thorax.scale
    primary = np.exp(-integral)
    signal = (1 - SCATTER) * primary + SCATTER * gaussian_filter(primary, side_pixels / 12)
    counts = random.poisson(PHOTONS * random.uniform(0.5, 1.5) * signal)
    grey = -np.log(np.maximum(counts, 1))
    low, high = np.percentile(grey, (random.uniform(0.5, 2), random.uniform(98.5, 99.7)))
    film = (255 * np.clip((grey - low) / (high - low), 0, 1) ** random.uniform(0.85, 1.15)).astype(np.uint8)
    return _marked(film)


def _marked(film: Grey) -> Grey:
    """Return the film with the word PHANTOM burnt into its lower corner, as a technician's marker would be."""
    image = Image.fromarray(film)
    corner = ImageDraw.Draw(image)
    corner.rectangle((0, image.height - 15, 62, image.height), fill=0)
    corner.text((4, image.height - 13), "PHANTOM", fill=255)
    return np.asarray(image)


def save(film: Grey, path: Path) -> None:
    """Write a phantom as PNG, whose metadata say what it is, too."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "Drawn phantom, not a patient.")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film).save(path, "PNG", pnginfo=note)


def write_films(directory: Path, per_finding: int, seed: int) -> list[Path]:
    """Draw `per_finding` films of each finding into folders named by it, and return their paths."""
    paths = []
    for finding in sorted(FINDINGS):
        for number in range(per_finding):
            path = directory / finding / f"phantom-{number:04d}.png"
            save(draw(finding, seed * 1_000_000 + number), path)
            paths.append(path)
    return paths


def write_dataset(directory: Path, per_finding: int, seed: int) -> None:
    """Draw a training set: `per_finding` films of each finding for training, a fifth as many for each other split.

    It is drawn under another name and renamed when it is complete, so that nobody trains on half of it and an
    interrupted one is drawn again.

    Raises:
        FileExistsError: `directory` is there already.
    """
    if directory.exists():
        raise FileExistsError(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".drawing-", dir=directory.parent) as staging:
        whole = Path(staging) / directory.name
        for index, split in enumerate(("train", "validation", "test")):
            write_films(whole / split, per_finding if split == "train" else max(1, per_finding // 5), seed * 3 + index)
        (whole / KIND_FILE).write_text(KIND + "\n")
        atomic_files.rename_directory(whole, directory)
