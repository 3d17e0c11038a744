"""How numbers, times and durations are written on a page. Does not use the request."""

from datetime import datetime, timedelta

from flask import Flask
from humanize import naturaldelta, naturalsize, precisedelta
from markupsafe import Markup, escape

from worker import NOTICE
from worker.database import now
from worker.settings import settings
from worker.studies.records import Priority

#: Shown where a number is undefined.
UNDEFINED = Markup('<span class="undefined" title="undefined: division by zero">—</span>')
JUST_NOW_SECONDS = 3
#: (unit, its length in seconds, duration in seconds from which on no smaller unit is written).
UNITS = (("days", 86_400, 2 * 86_400), ("hours", 3600, 86_400), ("minutes", 60, 600))
SMALLEST_PERCENT = 0.1


def install(app: Flask) -> None:
    """Make the functions below available to templates as filters."""
    filters = (moment, due, age, duration, percent, figure, plural, priority, sentence, commands, file_size)
    app.jinja_env.globals["notice"] = NOTICE
    app.jinja_env.globals["longest_wait_hours"] = settings().longest_wait_hours
    app.jinja_env.filters.update({function.__name__: function for function in filters})


def moment(value: datetime | None, absent: str = "never") -> Markup:
    """Return a time in UTC, with how long ago it was, as a `<time>` element."""
    if value is None:
        return escape(absent)
    return Markup('<time datetime="{iso}" title="{exact}">{short}</time> <span class="age">{age}</span>').format(
        iso=value.isoformat(timespec="seconds"),
        exact=f"{value:%Y-%m-%d %H:%M:%S} +00:00",
        short=f"{value:%Y-%m-%d %H:%M}",
        age=age(value),
    )


def due(value: datetime) -> Markup:
    """Return in how long something is due, or for how long it has been overdue, as a `<time>` element."""
    seconds = (value - now()).total_seconds()
    length = naturaldelta(abs(seconds))
    words = f"in {length}" if seconds > 0 else f"overdue by {length}"
    return Markup('<time datetime="{}" class="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), "due" if seconds > 0 else "due due-over", words
    )


def age(value: datetime) -> str:
    """Return how long ago a moment was, in its largest unit, such as `5 minutes ago`."""
    seconds = (now() - value).total_seconds()
    return "just now" if seconds < JUST_NOW_SECONDS else f"{naturaldelta(seconds)} ago"


def duration(seconds: float) -> str:
    """Return a length of time in words, such as `2 minutes and 5 seconds`; long ones in minutes, hours or days."""
    unit, length = next(((name, length) for name, length, least in UNITS if seconds >= least), ("seconds", 1))
    return precisedelta(timedelta(seconds=round(seconds) // length * length), minimum_unit=unit, format="%d")


def percent(probability: float | None, digits: int = 1) -> str:
    """Return a probability in [0, 1] in per cent; one that would round to 0 or 100 is given as a bound."""
    if probability is None:
        return UNDEFINED
    value = 100 * probability
    if 0 < value < SMALLEST_PERCENT:
        return f"< {SMALLEST_PERCENT}\N{NO-BREAK SPACE}%"
    if 100 - SMALLEST_PERCENT < value < 100:  # noqa: PLR2004
        return f"> {100 - SMALLEST_PERCENT}\N{NO-BREAK SPACE}%"
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def figure(value: object, digits: int = 4) -> str:
    """Return a number with `digits` decimals, or an integer with grouped digits; `UNDEFINED` if it is no number."""
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
    """Return a code such as `too_many_bytes` as words: `Too many bytes`."""
    return code.replace("_", " ").capitalize()


def commands(text: str) -> Markup:
    """Return a text as HTML; parts between backticks become `<code>`."""
    parts = str(text).split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def file_size(size: int) -> str:
    """Return a size in bytes with its unit, such as `128 MiB`."""
    return naturalsize(size, binary=True, format="%.0f")
