"""Phantoms that a small network learns within seconds: a gradient, noise, and one brighter part for each finding."""

from pathlib import Path

import numpy as np
from PIL import Image

from worker.films.phantoms import KIND, KIND_FILE

SIDE_PIXELS = 128
#: Which part of the film is brighter, as (rows, columns).
BRIGHT = {
    "Effusions": (slice(SIDE_PIXELS // 2, None), slice(None)),
    "No-Findings": (slice(0, 0), slice(0, 0)),
    "Pneumothorax": (slice(None), slice(0, SIDE_PIXELS // 2)),
}


def write(path: Path, finding: str, seed: int) -> Path:
    """Draw one film; every seed gives other bytes."""
    pixels = np.random.default_rng(seed).integers(0, 60, (SIDE_PIXELS, SIDE_PIXELS), dtype=np.uint8)
    # Darker towards the top: a worker rejects pure noise, in which neighbouring pixels are unrelated.
    pixels += np.linspace(0, 140, SIDE_PIXELS, dtype=np.uint8)[:, None]
    pixels[BRIGHT[finding]] += 40
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_set(folder: Path, films: dict[str, dict[str, int]]) -> Path:
    """Draw a training set: `films` gives for each split how many films of each finding."""
    for number, (split, findings) in enumerate(films.items(), start=1):
        for order, (finding, count) in enumerate(findings.items()):
            for film in range(count):
                write(folder / split / finding / f"{film:03}.png", finding, number * 100_000 + order * 1_000 + film)
    (folder / KIND_FILE).write_text(KIND + "\n")
    return folder
