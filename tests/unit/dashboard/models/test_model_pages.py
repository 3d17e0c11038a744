"""The pages of model versions: list, card, report with each part missing once, curves and figures."""

import re
from datetime import timedelta

import pytest

from dashboard.accounts.accounts import Role
from dashboard.models.reports import splits
from worker.database import now, transaction
from worker.models import promotion
from worker.models.documents.evaluation import CLASS_COLUMNS
from worker.models.documents.report import Report
from worker.models.documents.verdict import Verdict
from worker.monitoring.records import DriftAlarm
from worker.settings import settings

REPORT = {
    "test": {
        "n": 20,
        "classes": ["A", "B", "C"],
        "table": [[5, 1, 0], [2, 8, 0], [0, 0, 4]],
        "overall": {"Accuracy": 0.85, "AccuracyLower": 0.6211, "AccuracyUpper": 0.9679, "McnemarPValue": None},
        "byClass": {"A": dict.fromkeys(CLASS_COLUMNS, 0.5) | {"Precision": None}, "B": {}, "C": {}},
        "auroc": {"A": 0.91, "B": 0.92, "C": None, "macro": 0.915},
        "rejected": {"count": 2, "reasons": {"blank": 2}},
    },
    "history": [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.4}],
}


@pytest.fixture(autouse=True)
def _person(auth):
    """A client that is logged in as a viewer."""
    auth.login(Role.VIEWER)


def test_the_list_names_the_active_version_n_and_accuracy(client, rows):
    """It also says what each version was trained on."""
    rows.model("v3-aaaaaaaaaaaa", report=REPORT)
    rows.model("phantom-bbbbbbbb", trained_on="phantoms")

    text = client.get("/models/").text

    for part in ("v3-aaaaaaaaaaaa", "85.0\N{NO-BREAK SPACE}%", ">20<", "tag-phantom", "thoraq models promote"):
        assert part in text
    assert 1 == text.count("tag-active")


def test_an_empty_registry_says_what_to_do(client):
    """Without an active version, no film is scored."""
    assert "thoraq models import" in client.get("/models/").text


def test_a_report_shows_accuracy_with_n_and_interval(client, rows):
    """An accuracy without n and interval is misleading."""
    rows.model("v3-aaaaaaaaaaaa", report=REPORT)

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    for part in (
        "85.00\N{NO-BREAK SPACE}%",
        "62.11\N{NO-BREAK SPACE}%",
        "96.79\N{NO-BREAK SPACE}%",
        "n = 20",
        "0.9150",
    ):
        assert part in text
    assert "2 rejected" in text


def test_the_confusion_matrix_has_predictions_in_rows_and_shades_by_share_of_the_row():
    """If 5 of 6 films predicted as A are A, the cell has shade 8 of 10."""
    name, cells = splits(Report.model_validate(REPORT))[0].matrix[0]

    assert "A" == name
    assert [(5, 8, True), (1, 2, False), (0, 0, False)] == [(cell.count, cell.shade, cell.right) for cell in cells]


def test_an_undefined_figure_is_an_em_dash_that_explains_itself(client, rows):
    """It is not shown as 0."""
    rows.model("v3-aaaaaaaaaaaa", report=REPORT)

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    assert '<span class="undefined" title="undefined: division by zero">—</span>' in text


@pytest.mark.parametrize("missing", ["n", "classes", "table", "overall", "byClass", "auroc", "rejected"])
def test_a_report_without_a_part_is_shown_without_it(client, rows, missing):
    """Reports of older versions are still shown."""
    rows.model(
        "v3-aaaaaaaaaaaa", report={"test": {key: part for key, part in REPORT["test"].items() if key != missing}}
    )

    assert 200 == client.get("/models/v3-aaaaaaaaaaaa").status_code


def test_accuracy_is_shown_by_source(client, rows):
    """The mean over all sources hides a source with a low accuracy."""
    group = {"group": "North", "n": 8, "Accuracy": 0.375, "AccuracyLower": 0.0852, "AccuracyUpper": 0.7551}
    rows.model("v3-aaaaaaaaaaaa", report={**REPORT, "test_by_source": [group]})

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    assert "North" in text
    assert "37.5\N{NO-BREAK SPACE}%" in text


def test_groups_of_every_kind_replace_the_sources_alone_and_small_ones_have_their_n(client, rows):
    """An accuracy from a few films would be meaningless."""
    groups = [
        {"by": "sex", "group": "F", "n": 40, "accuracy": 0.25, "lower": 0.1, "upper": 0.4, "suppressed": False},
        {"by": "age", "group": "under 16", "n": 7, "accuracy": None, "lower": None, "upper": None, "suppressed": True},
    ]
    rows.model("v3-aaaaaaaaaaaa", report={**REPORT, "subgroups": groups, "test_by_source": [{"group": "North"}]})

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    for part in ("sex: F", "25.0\N{NO-BREAK SPACE}%", "age: under 16", "too few films"):
        assert part in text
    assert "North" not in text


def test_areas_are_shown_with_their_intervals(client, rows):
    """The table has each class against the rest, and the mean of the classes."""
    area = {"n_positive": 7, "auroc": 0.91, "auroc_interval": [0.8123, 0.95], "auprc": None, "auprc_interval": None}
    mean = {"auroc": 0.92, "auroc_interval": [0.8456, 0.96], "auprc": None, "auprc_interval": [None, None]}
    test = {**REPORT["test"], "discrimination": {"A": area}, "macro": mean}
    rows.model("v3-aaaaaaaaaaaa", report={"test": test})

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    for part in ("0.8123", "0.8456", "mean of the classes"):
        assert part in text


def test_a_version_without_any_report_says_so(client, rows):
    """The page also names the command that evaluates it."""
    rows.model("v3-aaaaaaaaaaaa")

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    assert "No evaluation report" in text
    assert "has no training curves" in text


def test_figures_are_served_by_name_only(client, rows):
    """Other names are 404, and the policy allows no script."""
    rows.model("v3-aaaaaaaaaaaa")
    directory = settings().models_dir / "v3-aaaaaaaaaaaa"
    directory.mkdir(parents=True)
    (directory / "curves.svg").write_text("<svg/>")
    (directory / "model.keras").write_text("weights")

    answer = client.get("/models/v3-aaaaaaaaaaaa/figures/curves.svg", buffered=True)
    page = client.get("/models/v3-aaaaaaaaaaaa").text

    assert '<img class="figure" src="/models/v3-aaaaaaaaaaaa/figures/curves.svg"' in page
    assert (200, "image/svg+xml; charset=utf-8") == (answer.status_code, answer.content_type)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for path in ("model.keras", "confusion.svg", "..%2fcard.json", "../card.json"):
        assert 404 == client.get(f"/models/v3-aaaaaaaaaaaa/figures/{path}").status_code, path
    assert 404 == client.get("/models/..%2f..%2fetc/figures/curves.svg").status_code


def test_the_whole_report_is_served_with_what_it_asks_for(client, rows):
    """Only the page, its style sheet and its figures are served; no films and no predictions."""
    rows.model("v3-aaaaaaaaaaaa")
    directory = settings().models_dir / "v3-aaaaaaaaaaaa"
    (directory / "thumbnails").mkdir(parents=True)
    for name in ("report.html", "report.css", "roc.svg", "predictions.npz", "thumbnails/error-01.png"):
        (directory / name).write_text("content")

    page = client.get("/models/v3-aaaaaaaaaaaa").text
    answer = client.get("/models/v3-aaaaaaaaaaaa/report/report.html", buffered=True)

    assert 'href="/models/v3-aaaaaaaaaaaa/report/report.html"' in page
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.content_type)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    for name in ("report.css", "roc.svg"):
        assert 200 == client.get(f"/models/v3-aaaaaaaaaaaa/report/{name}", buffered=True).status_code
    for name in ("predictions.npz", "card.json", "curves.svg", "thumbnails/error-01.png", "..%2fcard.json"):
        assert 404 == client.get(f"/models/v3-aaaaaaaaaaaa/report/{name}").status_code, name


def test_a_version_that_wrote_no_page_has_no_link_to_one(client, rows):
    """Older training runs wrote none."""
    rows.model("v3-aaaaaaaaaaaa", report=REPORT)

    assert "Whole report" not in client.get("/models/v3-aaaaaaaaaaaa").text


def test_an_unknown_version_is_not_found(client):
    """The answer is an error page."""
    assert 404 == client.get("/models/v9-000000000000").status_code


def test_a_verdict_shows_both_sensitivities_of_each_class(client, rows):
    """A version may have lost one class that the mean hides."""
    model = rows.model("v3-aaaaaaaaaaaa")
    figures = {"n": 12, "candidate": 0.25, "active": 0.75, "lost": 6, "gained": 0, "p": 0.0156}
    with transaction() as session:
        verdict = {"passed": False, "reasons": ["worse"], "sensitivity": {"Effusions": figures}}
        promotion.record(session, model, None, Verdict.model_validate(verdict))

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    row = re.search(r'<th scope="row">Effusions</th>(.*?)</tr>', text)
    assert row
    for part in (">12<", "25.0\N{NO-BREAK SPACE}%", "75.0\N{NO-BREAK SPACE}%", "0.0156"):
        assert part in row[1]


def test_a_verdict_shows_what_a_reader_must_know_beside_the_figures(client, rows):
    """The comparison may favour one of the two versions."""
    model = rows.model("v3-aaaaaaaaaaaa")
    with transaction() as session:
        verdict = {"passed": True, "notes": ["the comparison favours it; a folder `gate` would be fair"]}
        promotion.record(session, model, None, Verdict.model_validate(verdict))

    text = client.get("/models/v3-aaaaaaaaaaaa").text

    assert "the comparison favours it; a folder <code>gate</code> would be fair." in text


def test_drift_alarms_are_shown_with_their_reason(client, rows):
    """Old alarms are not shown."""
    model = rows.model()
    with transaction() as session:
        for days, reason in ((1, "darker than before"), (40, "long over")):
            session.add(
                DriftAlarm(
                    day=now().date() - timedelta(days=days),
                    source="pacs-north",
                    model_version_id=model,
                    kind="grey_mean",
                    reason=reason,
                )
            )

    text = client.get("/models/").text

    assert "darker than before" in text
    assert "long over" not in text
