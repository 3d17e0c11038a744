"""Formats figures for a person, with their intervals; a figure that would divide by 0 is `undefined`."""

from collections.abc import Sequence

UNDEFINED = "undefined"
#: Smaller p-values are written as less than it.
SMALLEST_P = 0.0001


def share(value: float | None, digits: int = 3) -> str:
    """Return a share or another figure near 1 with fixed decimals."""
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def interval(ends: Sequence[float | None] | None, digits: int = 3) -> str:
    """Return `lower to upper`, or `undefined`."""
    if ends is None or None in ends:
        return UNDEFINED
    return " to ".join(share(end, digits) for end in ends)


def with_interval(value: float | None, ends: Sequence[float | None] | None, digits: int = 3) -> str:
    """Return a figure with its 95 % interval in brackets."""
    return UNDEFINED if value is None else f"{share(value, digits)} ({interval(ends, digits)})"


def per_cent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    return UNDEFINED if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def p_value(value: float | None) -> str:
    """Return a p-value; a very small one is written as a bound."""
    if value is None:
        return UNDEFINED
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.4f}"


def count(value: float | None) -> str:
    """Return a whole number with thin spaces between thousands."""
    return UNDEFINED if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign."""
    return UNDEFINED if value is None else f"{value:+.{digits}f}"
