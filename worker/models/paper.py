"""The figures that the paper states for its three networks; a figure that it does not state is None.

Chowdhury & Zhang 2024, doi 10.4236/jcc.2024.126012, Figure 11 and section 4. Which films and patients it used is not
known.
"""

from dataclasses import dataclass

Scores = dict[str, float | None]

NOT_STATED: Scores = {"train": None, "validation": None, "test": None}


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's comparison of its versions."""

    version: str
    #: Layers, regularisation and optimiser, in words.
    features: str
    trainable_parameters: int
    #: Accuracy by split.
    accuracy: Scores
    #: Cross-entropy by split.
    loss: Scores


ROWS: dict[str, PaperRow] = {
    row.version: row
    for row in (
        PaperRow(
            "v1",
            "three convolutions with pooling, no dropout, no batch normalisation; Adam",
            167_750,
            {"train": 0.98, "validation": 0.81, "test": 0.72},
            NOT_STATED,
        ),
        PaperRow(
            "v2",
            "batch normalisation, dropout; SGD",
            16_851_398,
            {"train": 0.85, "validation": 0.83, "test": 0.73},
            NOT_STATED,
        ),
        PaperRow(
            "v3",
            "three convolutions with pooling, dropout after each; Adam",
            167_750,
            {"train": 0.98, "validation": 0.84, "test": 0.81},
            {"train": 0.0479, "validation": 0.7017, "test": 0.9201},
        ),
    )
}
