"""How numbers, times and durations are written."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import formatting
from worker.database import now

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, f"0.0{SPACE}%"),
        (0.0004, f"< 0.1{SPACE}%"),
        (0.5, f"50.0{SPACE}%"),
        (0.9995, f"> 99.9{SPACE}%"),
        (1.0, f"100.0{SPACE}%"),
        (None, formatting.UNDEFINED),
    ],
)
def test_a_probability_is_never_rounded_to_nothing_or_to_certainty(value, text):
    """99.95 % is not shown as 100 %."""
    assert text == formatting.percent(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.76923, "0.7692"),
        (0.00001, "< 0.0001"),
        (0.0, "0.0000"),
        (819, "819"),
        (167750, "167\N{NARROW NO-BREAK SPACE}750"),
    ],
)
def test_a_figure_has_four_digits_and_a_count_has_groups(value, text):
    """The report has the same format."""
    assert text == formatting.figure(value)


@pytest.mark.parametrize("value", [None, True, "x", [1]])
def test_what_is_no_number_is_undefined(value):
    """It is shown as an em dash."""
    assert formatting.UNDEFINED == formatting.figure(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 seconds"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (125, "2 minutes and 5 seconds"),
        (3599, "59 minutes"),
        (3660, "1 hour and 1 minute"),
        (86400 + 3600 + 60, "1 day and 1 hour"),
        (172800, "2 days"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    """Smaller units are left out."""
    assert text == formatting.duration(seconds)


def test_a_moment_is_utc_with_its_offset_for_people_and_machines():
    """The attribute is in ISO 8601."""
    html = formatting.moment(datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC))

    assert html.startswith('<time datetime="2026-11-23T04:05:06+00:00" title="2026-11-23 04:05:06 +00:00">')
    assert "2026-11-23 04:05</time>" in html


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "just now"), (42, "42 seconds ago"), (125, "2 minutes ago"), (90000, "a day ago")]
)
def test_an_age_has_one_unit(seconds, text):
    """Smaller units do not matter."""
    assert text == formatting.age(now() - timedelta(seconds=seconds + 0.2))


@pytest.mark.parametrize(
    ("seconds", "text"), [(7205, "in 2 hours"), (-125, "overdue by 2 minutes"), (-86405, "overdue by a day")]
)
def test_due_times_are_written_in_words(seconds, text):
    """The words say how long until then, or since then."""
    assert f">{text}</time>" in formatting.due(now() + timedelta(seconds=seconds))


def test_a_size_has_a_binary_unit():
    """The limits are powers of two."""
    assert "128 MiB" == formatting.file_size(128 * 2**20)


@pytest.mark.parametrize(
    ("number", "noun", "text"), [(1, "film", "1 film"), (2, "film", "2 films"), (2, "study", "2 studies")]
)
def test_a_noun_follows_its_number(number, noun, text):
    """Numbers other than 1 take the plural."""
    assert text == formatting.plural(number, noun)


def test_commands_are_marked_and_the_rest_is_escaped():
    """Markup in the text is not interpreted."""
    assert "&lt;b&gt; <code>thoraq worker</code>" == str(formatting.commands("<b> `thoraq worker`"))
