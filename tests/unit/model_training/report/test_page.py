"""The page of a report, and its text."""

import itertools
import re
from html.parser import HTMLParser

import pytest
from cards import card
from PIL import Image

from model_training.metrics import confusion_matrix
from model_training.report import caret_text, thumbnails
from model_training.report import page as report_page
from model_training.report import text as report_text
from model_training.training.predictions import save
from worker.models import directory as model_directory
from worker.models.documents.evaluation import ClassFigures
from worker.models.documents.report import Report

CARD = card(trainable_parameters=167_750)
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Collects every element, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.elements = []
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag == self.open.pop()


def elements_of(path):
    reader = Reader()
    reader.feed(path.read_text())
    assert [] == reader.open
    return reader.elements


@pytest.fixture(scope="module")
def report(full_report):
    """The report of the invented run, with a version."""
    return full_report.model_copy(update={"version": "v3-0", "network": "v3"})


@pytest.fixture(scope="module")
def page(report, drawn_run, tmp_path_factory):
    """The page of that report, with the pictures of two films."""
    folder = tmp_path_factory.mktemp("page")
    pictures = folder / "run" / "thumbnails"
    pictures.mkdir(parents=True)
    for name in (thumbnails.error_file(0), *thumbnails.sample_files(0)):
        Image.new("L", (64, 64), 90).save(pictures / name)
    report_page.write(report, folder / "report.html", predictions=drawn_run.predictions, card=CARD, thumbnails=pictures)
    return folder / "report.html"


def test_the_page_needs_nothing_but_the_folder_beside_it(page):
    """Every address is relative and leads to an existing file, or to a section of the page."""
    found = elements_of(page)

    addresses = [value for _, attrs in found for name, value in attrs.items() if name in {"href", "src"}]
    sections = {attrs["id"] for _, attrs in found if "id" in attrs}
    assert len(addresses) > 20
    for address in addresses:
        assert address[1:] in sections if address.startswith("#") else (page.parent / address).is_file(), address


def test_the_page_has_no_script_and_no_inline_style(page):
    """The dashboard's policy allows neither."""
    for tag, attrs in elements_of(page):
        assert tag not in {"script", "style", "iframe", "object"}
        assert not {name for name in attrs if name == "style" or name.startswith("on")}


def test_the_page_says_what_it_is_not(page):
    """The notice is at the top and at the bottom."""
    assert page.read_text().count("Research use only; not a medical device.") >= 2


def test_every_table_has_a_caption_and_scoped_heads_and_every_picture_its_words(page, report):
    """A screen reader gives the same information."""
    text, found = page.read_text(), elements_of(page)

    tags = [tag for tag, _ in found]
    assert tags.count("table") == tags.count("caption") > 15
    assert all("scope" in attrs for tag, attrs in found if tag == "th")
    words = [attrs["alt"] for tag, attrs in found if tag == "img"]
    assert all(words)
    assert any(f"{report.test.roc['Effusions'].auroc:.3f}" in word for word in words)
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert 1 == levels.count(1)
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize(
    "words",
    [
        "Provenance", "167", "Films per split and class", "Source: films in train / validation / test", "Left out",
        "kept by", "Shares of each row", "Shares of each column", "Detection Prevalence", "Each class against the rest",
        "sensitivity at least 0.95", "Calibration before and after temperature scaling", "By source", "By view",
        "By sex", "By age", "Without Covid-19", "Films of other hospitals", "Can the source be told", "Worst errors",
        "Coverage against error", "Limits", "Validation split", "Films before and after scaling",
    ],
)  # fmt: skip
def test_the_page_has_every_part(page, words):
    """Each part has its heading or label."""
    assert words in page.read_text()


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without figures, because drawing them takes two seconds."""
    monkeypatch.setattr(report_page.figures, "draw_all", lambda *_: ())


def test_what_is_undefined_is_called_so(report, undrawn, tmp_path):
    """It is never written as 0 or None."""
    by_class = {**report.test.by_class, "Effusions": ClassFigures()}
    test = report.test.model_copy(update={"by_class": by_class})

    report_page.write(report.model_copy(update={"test": test}), tmp_path / "page.html", predictions={})

    text = (tmp_path / "page.html").read_text()
    assert text.count("<td>undefined</td>") >= 11
    assert "None" not in text
    assert not re.search(r"\b(nan|inf)\b", text)


def test_names_from_the_data_are_text_and_not_markup(report, undrawn, tmp_path):
    """A source or a file may be called anything."""
    error = report.worst_errors[0].model_copy(update={"film": "test/<script>alert(1)</script>.png"})

    report_page.write(report.model_copy(update={"worst_errors": (error,)}), tmp_path / "page.html", predictions={})

    assert "<script" not in (tmp_path / "page.html").read_text()


def test_a_published_page_shows_no_film(report, drawn_run, tmp_path):
    """The page names films; their thumbnails are not on it."""
    save(tmp_path, drawn_run.predictions)
    (tmp_path / "thumbnails").mkdir()
    Image.new("L", (64, 64)).save(tmp_path / "thumbnails" / thumbnails.error_file(0))

    report_page.publish(report, tmp_path, CARD)

    found = elements_of(tmp_path / "report.html")
    pictures = {attrs["src"] for tag, attrs in found if tag == "img"}
    assert {path.name for path in tmp_path.glob("*.svg")} == pictures
    assert "This copy of the report shows no film" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "report.css").is_file()


def test_reports_of_older_releases_have_a_page(undrawn, tmp_path):
    """The page has the parts that the report has."""
    rest = {"auroc": {"macro": None}, "balanced_accuracy": 0.5, "ece": 0.1, "rejected": {"count": 0, "reasons": {}}}
    report = Report.model_validate({"version": "v3-0", "test": {**caret_report(), **rest}})

    report_page.write(report, tmp_path / "page.html", predictions={})

    assert "Confusion matrix" in (tmp_path / "page.html").read_text()
    assert report_text.text(report).startswith("v3-0 on the test split, n = 20")


def caret_report():
    matrix = confusion_matrix.from_table([[5, 1, 0], [1, 4, 1], [1, 1, 6]], "ABC")
    return {"n": 20, **matrix.stored()}


def test_the_shipped_reports_have_pages(undrawn, tmp_path):
    """This holds for reports of every release."""
    for directory in (model_directory.SHIPPED_FILMS, model_directory.SHIPPED_PHANTOMS):
        report_page.write(model_directory.read_report(directory), tmp_path / "page.html", predictions={})
        assert model_directory.read_card(directory).version in (tmp_path / "page.html").read_text()


def test_the_text_has_carets_own_print_in_it(report):
    """It is equal to the byte, in the mode `everything`."""
    matrix = confusion_matrix.from_table(report.test.table, report.test.classes)

    text = report_text.text(report)

    assert caret_text.text(matrix, everything=True).strip() in text
    for words in ("AUROC (95 %)", "Youden", "source: north", "Without Covid-19, n = 60", "Films of other hospitals"):
        assert words in text
