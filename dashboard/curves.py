"""Curves of training as the geometry of an SVG chart: numbers in, coordinates out. Knows no colours and no report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Units of the chart's view box; the page scales it.
WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 30
MAX_TICKS = 6


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve."""

    name: str
    #: `x,y x,y ...` as an SVG polyline reads it.
    points: str
    last: float


@dataclass(frozen=True)
class Chart:
    """Curves over epochs with their axes."""

    title: str
    lines: list[Line]
    epochs: list[Tick]
    values: list[Tick]
    #: Where the epoch lies whose weights were kept.
    kept_at: float | None


def chart(title: str, curves: Mapping[str, Sequence[float]], kept_epoch: int | None = None) -> Chart | None:
    """Return the chart of curves with one value an epoch; None when none of them has a finite value."""
    finite = {name: [value for value in values if _is_finite(value)] for name, values in curves.items()}
    drawn = {name: values for name, values in finite.items() if values}
    if not drawn:
        return None
    epochs = max(len(values) for values in drawn.values())
    step = _step(max(max(values) for values in drawn.values()))
    top = step * max(1, math.ceil(max(max(values) for values in drawn.values()) / step))
    steps = round(top / step)

    def x(epoch: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    return Chart(
        title,
        [
            Line(name, " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in enumerate(values, 1)), values[-1])
            for name, values in drawn.items()
        ],
        [Tick(x(epoch), str(epoch)) for epoch in _epoch_ticks(epochs)],
        [Tick(y(n * step), f"{n * step:.10g}") for n in range(steps + 1)],
        x(kept_epoch) if kept_epoch and kept_epoch <= epochs else None,
    )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _step(top: float) -> float:
    """Return the distance of value ticks: 1, 2 or 5 times a power of ten, at most `MAX_TICKS` of them."""
    if top <= 0:
        return 1.0
    rough = top / MAX_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _epoch_ticks(epochs: int) -> list[int]:
    step = max(1, round(_step(epochs)))
    return sorted({1, *range(step, epochs + 1, step)})
