"""How figures, moments and files are written on a page: units, offsets, relative ages. Knows no request."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from worker.database import now
from worker.settings import settings
from worker.studies.records import Priority

NOTICE = "Research use. Not a medical device."
#: What stands where a figure is undefined; its title says so.
UNDEFINED = Markup('<span class="undefined" title="undefined: nothing to divide by">—</span>')
JUST_NOW_SECONDS = 3
MINUTE, HOUR, DAY = 60, 3600, 86_400
SMALLEST_PERCENT = 0.1
KIBI = 1024


def install(app: Flask) -> None:
    """Offer the functions below to templates as filters."""
    filters = (moment, due, age, duration, percent, figure, parsed, plural, priority, sentence, commands, mebibytes)
    app.jinja_env.globals["notice"] = NOTICE
    app.jinja_env.globals["longest_wait_hours"] = settings().longest_wait_hours
    app.jinja_env.filters.update({function.__name__: function for function in filters})


def moment(value: datetime | None, absent: str = "never") -> Markup:
    """Return a `<time>` element: UTC with its offset, and how long ago that was."""
    if value is None:
        return escape(absent)
    return Markup('<time datetime="{iso}" title="{exact}">{short}</time> <span class="age">{age}</span>').format(
        iso=value.isoformat(timespec="seconds"),
        exact=f"{value:%Y-%m-%d %H:%M:%S} +00:00",
        short=f"{value:%Y-%m-%d %H:%M}",
        age=age(value),
    )


def due(value: datetime) -> Markup:
    """Return in words when something is due, or for how long it has been."""
    seconds = (value - now()).total_seconds()
    words = f"in {duration(_coarse(seconds))}" if seconds > 0 else f"overdue for {duration(_coarse(-seconds))}"
    return Markup('<time datetime="{}" class="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), "due" if seconds > 0 else "due due-over", words
    )


def parsed(text: str | None) -> datetime | None:
    """Return the moment that a stored ISO 8601 text names, in UTC; None where there is none."""
    if not text:
        return None
    value = datetime.fromisoformat(text)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def age(value: datetime) -> str:
    """Return how long ago a moment was, such as `5 min ago`."""
    seconds = (now() - value).total_seconds()
    return "just now" if seconds < JUST_NOW_SECONDS else f"{duration(_coarse(seconds))} ago"


def _coarse(seconds: float) -> float:
    """Return a length of time cut to its largest unit."""
    unit = next((unit for unit in (DAY, HOUR, MINUTE) if seconds >= unit), 1)
    return seconds // unit * unit


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, such as `2 min 5 s`."""
    total = round(seconds)
    if total < MINUTE:
        return f"{total} s"
    if total < HOUR:
        return f"{total // MINUTE} min" + (f" {total % MINUTE} s" if total < 10 * MINUTE and total % MINUTE else "")
    if total < DAY:
        return f"{total // HOUR} h" + (f" {total % HOUR // MINUTE} min" if total % HOUR >= MINUTE else "")
    return f"{total // DAY} d"


def percent(probability: float | None, digits: int = 1) -> str:
    """Return a probability in [0, 1] in per cent; what rounds to nothing or to certainty is said as a bound."""
    if probability is None:
        return UNDEFINED
    value = 100 * probability
    if 0 < value < SMALLEST_PERCENT:
        return f"< {SMALLEST_PERCENT}\N{NO-BREAK SPACE}%"
    if 100 - SMALLEST_PERCENT < value < 100:  # noqa: PLR2004
        return f"> {100 - SMALLEST_PERCENT}\N{NO-BREAK SPACE}%"
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def figure(value: object, digits: int = 4) -> str:
    """Return a number as the report prints it; an em dash where it is undefined."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNDEFINED
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if 0 < value < 10**-digits:
        return f"< {10**-digits:.{digits}f}"
    return f"{value:.{digits}f}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 film` or `2 films`; `study` becomes `studies`."""
    if number == 1:
        return f"1 {noun}"
    return (
        f"{figure(number)} {noun[:-1]}ies"
        if noun.endswith("y") and noun[-2] not in "aeiou"
        else f"{figure(number)} {noun}s"
    )


def priority(value: int) -> str:
    """Return the name of a priority."""
    return Priority(value).name.lower()


def sentence(code: str) -> str:
    """Return a stable code as words, such as `Too many bytes`."""
    return code.replace("_", " ").capitalize()


def commands(text: str) -> Markup:
    """Return a text whose commands, between backticks, are marked as such."""
    parts = str(text).split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def mebibytes(size: int) -> str:
    """Return a size in bytes in MiB."""
    return f"{size / KIBI**2:.0f} MiB"


def from_path(tree: Mapping[str, Any], *path: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Return what a stored JSON document holds at a path of names; None where a part is missing."""
    found: Any = tree
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
