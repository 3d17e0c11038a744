"""The drawn figures."""

from xml.etree import ElementTree as ET

from model_training import figures

REPORT = {
    "history": [
        {"epoch": 1, "loss": 1.5, "val_loss": 1.6, "accuracy": 0.3, "val_accuracy": 0.2},
        {"epoch": 2, "loss": 1.2, "val_loss": 1.4, "accuracy": 0.5, "val_accuracy": 0.4},
    ],
    "kept_epoch": 2,
    "data": {"counts": {"train": {"A": 70, "B": 30}, "validation": {"A": 7, "B": 4}}},
}
EVALUATION = {"n": 12, "classes": ["A", "B"], "table": [[7, 1], [0, 4]]}


def test_the_same_numbers_draw_the_same_bytes(tmp_path):
    """A figure changes only when its numbers do."""
    for name in ("one", "two"):
        figures.draw_curves(REPORT, tmp_path / f"curves-{name}.svg")
        figures.draw_confusion(EVALUATION, "v3-0 on the test split", tmp_path / f"confusion-{name}.svg")

    assert (tmp_path / "curves-one.svg").read_bytes() == (tmp_path / "curves-two.svg").read_bytes()
    assert (tmp_path / "confusion-one.svg").read_bytes() == (tmp_path / "confusion-two.svg").read_bytes()


def test_the_figures_state_axes_and_n(tmp_path):
    """Matplotlib leaves each text as a comment above its outlines."""
    figures.draw_curves(REPORT, tmp_path / "curves.svg")
    figures.draw_confusion(EVALUATION, "v3-0 on the test split", tmp_path / "confusion.svg")

    curves, confusion = ((tmp_path / name).read_text() for name in ("curves.svg", "confusion.svg"))
    for words in ("epoch", "cross-entropy", "train (n = 100)", "validation (n = 11)", "kept: epoch 2"):
        assert f"<!-- {words} -->" in curves
    for words in ("reference", "prediction", "v3-0 on the test split (n = 12)"):
        assert f"<!-- {words} -->" in confusion
    assert "svg" in ET.fromstring(confusion).tag


def test_a_class_without_a_film_is_drawn_without_a_share(tmp_path):
    """0/0 is neither an error nor a colour."""
    figures.draw_confusion({**EVALUATION, "table": [[7, 0], [5, 0]]}, "a model", tmp_path / "confusion.svg")

    assert "<!-- (n = 0) -->" in (tmp_path / "confusion.svg").read_text()
