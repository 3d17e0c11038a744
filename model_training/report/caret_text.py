"""The confusion matrix as R prints it: `print.confusionMatrix`, and R's own rules for numbers, tables and lines.

This is the layout alone; the figures come from `model_training.metrics.confusion_matrix`.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence

from worker.models.documents.evaluation import CLASS_COLUMNS, ConfusionMatrix, OverallFigures

#: R's default width of the console: wider tables are broken into blocks of columns.
LINE_WIDTH = 80
#: caret prints with max(3, getOption("digits") - 3) digits.
DIGITS = 4
#: R's .Machine$double.eps: smaller p-values are printed as less than it.
EPSILON = 2.220446e-16
#: caret's mode "sens_spec", its default, hides these.
HIDDEN = ("Precision", "Recall", "F1")
#: What R escapes in names, as in its own source code.
ESCAPES = str.maketrans(
    {"\\": r"\\", "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)
#: An exponent takes four characters, as in e-05.
EXPONENT_WIDTH = 4


def text(matrix: ConfusionMatrix, *, everything: bool = False) -> str:
    """Return caret's printed report; with `everything`, its mode of that name, which also shows precision and F1."""
    lines = ["Confusion Matrix and Statistics", ""]
    lines += _table(matrix)
    shown = [name for name in CLASS_COLUMNS if everything or name not in HIDDEN]
    overall = _overall(matrix.overall)
    if len(matrix.classes) > 2:  # noqa: PLR2004
        lines += ["", "Overall Statistics", *_two_columns(overall), "", "Statistics by Class:", ""]
        lines += _by_class(matrix, shown)
    else:
        positive = matrix.by_class[matrix.classes[0]].by_name()
        figures = _common([_value(positive, name) for name in shown], DIGITS, pad=True)
        rows = [*overall, ("", ""), *zip([f"{name} :" for name in shown], figures, strict=True)]
        lines += _two_columns([*rows, ("", ""), ("'Positive' Class :", _names(matrix)[0])], closing=True)
    return "\n".join(lines) + "\n"


def _overall(overall: OverallFigures) -> list[tuple[str, str]]:
    def rounded(value: float | None) -> str:
        return "NaN" if value is None else _common([_rounded(value)], 15)[0]

    accuracy_p, mcnemar_p = _p_values([overall.accuracy_p_value, overall.mcnemar_p_value])
    return [
        ("Accuracy :", rounded(overall.accuracy)),
        ("95% CI :", f"({rounded(overall.accuracy_lower)}, {rounded(overall.accuracy_upper)})"),
        ("No Information Rate :", rounded(overall.accuracy_null)),
        ("P-Value [Acc > NIR] :", accuracy_p),
        ("", ""),
        ("Kappa :", rounded(overall.kappa)),
        ("", ""),
        ("Mcnemar's Test P-Value :", mcnemar_p),
    ]


def _two_columns(rows: Sequence[tuple[str, str]], *, closing: bool = False) -> list[str]:
    """Return names aligned right and texts aligned left, under a blank header; `closing` adds a blank last row."""
    left, right = (max(_width(row[column]) for row in rows) for column in (0, 1))
    blank = " " * (left + right + 2)
    return [blank, *(f" {name:>{left}} {_left(value, right)}" for name, value in rows), *([blank] if closing else [])]


def _table(matrix: ConfusionMatrix) -> list[str]:
    """Return the counts under the words Prediction and Reference, as R prints a table with named dimensions."""
    names = _names(matrix)
    widest = max(map(_width, names))
    # R sets row labels off by two blanks, or by what the longer name of the dimension leaves.
    offset = 2 if len("Prediction") < widest + 2 else len("Prediction") - widest
    labels = [" " * offset + _left(name, widest) for name in names]
    digits = len(str(max(map(max, matrix.table))))  # R sets all counts of a table to one width.
    columns = [[f"{count:>{digits}}" for count in column] for column in zip(*matrix.table, strict=True)]
    return _blocks(labels, names, columns, dimensions=("Prediction", "Reference"))


def _by_class(matrix: ConfusionMatrix, shown: Sequence[str]) -> list[str]:
    widest = max(map(len, shown))
    by_class = [matrix.by_class[name].by_name() for name in matrix.classes]
    columns = [_common([_value(figures, row) for row in shown], DIGITS) for figures in by_class]
    return _blocks([f"{row:<{widest}}" for row in shown], [f"Class: {name}" for name in _names(matrix)], columns)


def _blocks(
    labels: Sequence[str],
    headers: Sequence[str],
    columns: Sequence[Sequence[str]],
    dimensions: tuple[str, str] | None = None,
) -> list[str]:
    """Return the lines of a matrix, broken into blocks of columns where it is wider than R's console."""
    stub, lines, start = _width(labels[0]), [], 0
    widths = [1 + max(map(_width, (header, *column))) for header, column in zip(headers, columns, strict=True)]
    while start < len(headers):
        end = start + 1
        while end < len(headers) and stub + sum(widths[start : end + 1]) < LINE_WIDTH:
            end += 1
        if dimensions:
            lines.append(" " * stub + dimensions[1])
        block = range(start, end)
        lines.append(
            f"{dimensions[0] if dimensions else '':<{stub}}" + "".join(_right(headers[i], widths[i]) for i in block)
        )
        for row, label in enumerate(labels):
            lines.append(label + "".join(f"{columns[i][row]:>{widths[i]}}" for i in block))
        start = end
    return lines


def _names(matrix: ConfusionMatrix) -> list[str]:
    return [name.translate(ESCAPES) for name in matrix.classes]


def _width(text: str) -> int:
    """Return how many columns of a console a text takes: two for East Asian wide characters, none for joined marks."""
    return sum(
        0 if unicodedata.category(character) in {"Mn", "Me"} else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _left(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _right(text: str, width: int) -> str:
    return " " * (width - _width(text)) + text


def _rounded(value: float) -> float:
    """Round as R 4 does: to the nearer of the two candidates as doubles. Python's `round` takes the exact decimals."""
    unit = 10.0**DIGITS
    scaled = abs(value) * unit
    below, above = math.floor(scaled) / unit, math.ceil(scaled) / unit
    down, up = abs(value) - below, above - abs(value)
    nearer = below if down < up or (down == up and math.floor(scaled) % 2 == 0) else above
    return -nearer if value < 0 and nearer else nearer  # R shows no negative zero


def _value(figures: Mapping[str, float | None], name: str) -> float | str:
    """Return a figure, or R's word for why there is none: NaN for 0/0, NA where an operand is missing."""
    value = figures[name]
    if value is not None:
        return value
    operands = {
        "Pos Pred Value": ("Sensitivity", "Specificity"),
        "Neg Pred Value": ("Sensitivity", "Specificity"),
        "F1": ("Precision", "Recall"),
    }.get(name, (name,))
    return "NA" if any(figures[operand] is None for operand in operands) else "NaN"


def _p_values(values: Sequence[float | None]) -> list[str]:
    """Format as R's `format.pval`: one format from 1e-4 on, one for smaller values; tiny ones are less than epsilon."""
    done: dict[int, str] = {index: "NA" for index, value in enumerate(values) if value is None}
    known = {index: value for index, value in enumerate(values) if value is not None}
    plain = {index: value for index, value in known.items() if value >= EPSILON}
    for group in ([i for i, v in plain.items() if v >= 1e-4], [i for i, v in plain.items() if v < 1e-4]):  # noqa: PLR2004
        done.update(zip(group, _common([plain[index] for index in group], DIGITS), strict=True))
    widest = max((len(done[index]) for index in plain), default=0)
    digits = DIGITS - 2
    if plain and digits > 1 and digits + 6 > widest:
        digits = max(1, widest - 7)
    gap = "" if digits == 1 and (not plain or widest <= 6) else " "  # noqa: PLR2004
    for index in known.keys() - plain.keys():
        done[index] = f"<{gap}{_common([EPSILON], digits)[0]}"
    return [done[index] for index in range(len(values))]


def _common(values: Sequence[float | str], digits: int, *, pad: bool = False) -> list[str]:
    """Format as R's `format`: all with the fewest decimals that show every number to `digits` significant digits.

    Words stay as they are. With `pad`, all are as wide as the widest.
    """
    parts = [_significant(value, digits) for value in values if not isinstance(value, str)]
    if not parts:
        return [str(value) for value in values]
    decimals = max(0, *(len(mantissa) - 1 - exponent for mantissa, exponent in parts))
    whole = max(1, *(exponent + 1 for _, exponent in parts))
    mantissa = max(len(digits_shown) for digits_shown, _ in parts)
    sign = any(not isinstance(value, str) and value < 0 for value in values)
    fixed_width = sign + whole + (decimals + 1 if decimals else 0)
    scientific_width = sign + mantissa + (mantissa > 1) + EXPONENT_WIDTH
    code = f".{decimals}f" if fixed_width <= scientific_width else f".{mantissa - 1}e"
    shown = [value if isinstance(value, str) else format(value, code) for value in values]
    return [f"{value:>{max(map(len, shown))}}" for value in shown] if pad else shown


def _significant(value: float, digits: int) -> tuple[str, int]:
    """Return the significant digits of a number, without closing zeros, and its decimal exponent."""
    if value == 0 or not math.isfinite(value):
        return "0", 0
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    return mantissa.replace(".", "").rstrip("0"), int(exponent)
