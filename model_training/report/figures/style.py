"""How every figure looks, and how it is saved: one palette, one font size, the same bytes for the same numbers.

Uses Matplotlib's objects directly, so that no window system is needed and figures share no state.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Okabe and Ito's palette, distinct for every kind of colour vision; its yellow, too pale on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: The dashes of a curve, for readers who see no colours.
DASHES = ("solid", "dashed", "dashdot", "dotted", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
GREY = "0.45"
SMALL = 8


def colour(index: int) -> str:
    """Return the colour of the curve of this index."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> str | tuple[int, Sequence[int]]:
    """Return the dashes of the curve of this index; colours and dashes repeat out of step."""
    return DASHES[(index + index // len(COLOURS)) % len(DASHES)]


def sheet(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which arranges itself."""
    return Figure(figsize=(width, height), layout="constrained")


def unit_square(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Give both axes the range from 0 to 1, equal scales and a grid."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=xlabel, ylabel=ylabel, aspect="equal")
    axes.grid(alpha=0.3)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, with letters as outlines, so that it looks the same everywhere."""
    # With a fixed salt for the ids and without a date, the bytes depend on the numbers only.
    with mpl.rc_context({"svg.hashsalt": "thoraq", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(path, format="svg", metadata={"Date": None})
