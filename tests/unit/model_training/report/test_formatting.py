"""How figures are written."""

import pytest

from model_training.report import formatting


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formatting.share(0.12345), "0.123"),
        (formatting.share(None), "undefined"),
        (formatting.share(0.0), "0.000"),
        (formatting.interval([0.1, 0.2]), "0.100 to 0.200"),
        (formatting.interval([None, None]), "undefined"),
        (formatting.interval(None), "undefined"),
        (formatting.with_interval(0.5, [0.4, 0.6]), "0.500 (0.400 to 0.600)"),
        (formatting.with_interval(0.5, None), "0.500 (undefined)"),
        (formatting.with_interval(None, [0.4, 0.6]), "undefined"),
        (formatting.per_cent(0.1234), "12.3\N{NO-BREAK SPACE}%"),
        (formatting.p_value(0.00001), "< 0.0001"),
        (formatting.p_value(None), "undefined"),
        (formatting.count(16_851_398), "16\N{NARROW NO-BREAK SPACE}851\N{NARROW NO-BREAK SPACE}398"),
        (formatting.count(0), "0"),
        (formatting.signed(0.01), "+0.010"),
    ],
)
def test_a_figure_is_written_so(written, expected):
    """An undefined figure is written as `undefined`; 0 is a figure."""
    assert expected == written
