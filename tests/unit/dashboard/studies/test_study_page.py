"""The pages of studies: rows, results, filters and updates."""

import re

import pytest

from dashboard.accounts.accounts import Role
from dashboard.studies.filters import Filters, select_page
from dashboard.studies.rows import rows as rows_of
from worker.database import reading


@pytest.fixture(autouse=True)
def _person(auth):
    """A client that is logged in as a viewer."""
    auth.login(Role.VIEWER)


def ids(text: str) -> list[int]:
    """Return the studies that a list links to, in its order."""
    return [int(study_id) for study_id in re.findall(r'href="/studies/(\d+)"', text)]


def test_an_empty_list_says_how_to_submit_studies(client):
    """The page shows no empty table."""
    text = client.get("/studies").text

    assert "The worklist is empty" in text
    assert "thoraq submit" in text


def test_a_row_shows_state_top_finding_probability_version_and_films(client, rows, scores):
    """A reader needs these to choose a study."""
    rows.study(scores(Pneumothorax=0.873), "corrupt", model=rows.model("v3-aaaaaaaaaaaa"))

    text = client.get("/studies").text

    for part in ("scored", "Pneumothorax", "87.3\N{NO-BREAK SPACE}%", "v3-aaaaaaaaaaaa", "(1 rejected)"):
        assert part in text


def test_a_study_shows_all_six_probabilities_in_descending_order(client, rows, scores):
    """Each has its number beside its bar."""
    study = rows.study(
        scores(Covid_19=0.05, Effusions=0.3, Infiltration=0.1, No_Findings=0.02, Pneumonia=0.5, Pneumothorax=0.03),
        model=rows.model(),
    )

    text = client.get(f"/studies/{study}").text

    assert [
        ("Pneumonia", "50.0"),
        ("Effusions", "30.0"),
        ("Infiltration", "10.0"),
        ("Covid-19", "5.0"),
        ("Pneumothorax", "3.0"),
        ("No-Findings", "2.0"),
    ] == re.findall(r'<th scope="row">([^<]+)</th>.*?([\d.]+)\N{NO-BREAK SPACE}%', text, re.DOTALL)


def test_the_bar_is_as_wide_as_the_probability(client, rows, scores):
    """The width is an attribute, since inline styles are forbidden."""
    study = rows.study(scores(Pneumonia=0.5), model=rows.model())

    assert 'class="bar-fill" width="50.00"' in client.get(f"/studies/{study}").text


def test_a_study_names_the_model_version_its_report_and_its_limits(client, rows, scores):
    """Probabilities are never shown without them."""
    study = rows.study(scores(Pneumonia=0.5), model=rows.model("v3-aaaaaaaaaaaa"))

    text = client.get(f"/studies/{study}").text

    assert 'href="/models/v3-aaaaaaaaaaaa"' in text
    assert "two findings at once cannot be told" in text


@pytest.mark.parametrize(("trained_on", "marked"), [("phantoms", True), ("films", False)])
def test_answers_of_a_model_that_learned_from_phantoms_are_marked(client, rows, scores, trained_on, marked):
    """This holds for the list and for the page of the study."""
    study = rows.study(scores(Pneumonia=0.5), model=rows.model(trained_on=trained_on))

    for path in ("/studies", f"/studies/{study}"):
        assert marked == ("tag-phantom" in client.get(path).text), path


def test_a_rejected_study_shows_its_reason(client, rows):
    """The reason is shown in words, with its detail."""
    study = rows.study("too_small")

    text = client.get(f"/studies/{study}").text

    assert "Too small" in text
    assert "The file is broken." in text


def test_the_result_over_several_films_is_the_highest_and_for_no_findings_the_lowest(client, rows, scores):
    """One film with a finding is enough."""
    study = rows.study(
        scores(No_Findings=0.9, Effusions=0.04),
        scores(No_Findings=0.2, Effusions=0.6),
        scores(No_Findings=0.5, Pneumonia=0.4),
        model=rows.model(),
    )

    with reading() as session:
        findings = rows_of(session, select_page(session, Filters()).ids)[0].findings

    assert [("Effusions", 0.6), ("Pneumonia", 0.4), ("No-Findings", 0.2)] == findings[:3]
    assert [study] == ids(client.get("/studies?finding=Effusions").text)
    assert [] == ids(client.get("/studies?finding=No-Findings").text)


def test_a_result_of_which_films_are_missing_is_called_preliminary(client, rows, scores):
    """This holds for the list and for the page of the study."""
    study = rows.study(scores(Effusions=0.6), None, model=rows.model())

    assert "so far" in client.get("/studies").text
    assert "Preliminary: 1 of 2 films scored." in client.get(f"/studies/{study}").text


def test_identifiers_are_on_the_page_and_in_no_address(client, rows, scores):
    """Addresses are stored in logs and browser histories."""
    study = rows.study(
        scores(Pneumonia=0.5), model=rows.model(), accession_number="A4711", study_instance_uid="1.2.3.4"
    )

    text = client.get(f"/studies/{study}").text

    assert "A4711" in text
    assert "1.2.3.4" in text
    assert not [href for href in re.findall(r'(?:href|src)="([^"]*)"', text) if "A4711" in href or "1.2.3.4" in href]


def test_filters_narrow_by_finding_and_by_state(client, rows, scores):
    """The filters can be combined."""
    model = rows.model()
    pneumonia = rows.study(scores(Pneumonia=0.8), model=model)
    effusions = rows.study(scores(Effusions=0.8), model=model)
    rejected, waiting = rows.study("blank"), rows.study(None)
    half = rows.study(scores(Pneumonia=0.8), None, model=model)

    assert [half, waiting, rejected, effusions, pneumonia] == ids(client.get("/studies?view=all").text)
    assert [half, pneumonia] == ids(client.get("/studies?view=all&finding=Pneumonia").text)
    assert [pneumonia] == ids(client.get("/studies?finding=Pneumonia&state=scored").text)
    assert [effusions, pneumonia] == ids(client.get("/studies?view=all&state=scored").text)
    assert [rejected] == ids(client.get("/studies?view=all&state=rejected").text)
    assert [half, waiting] == ids(client.get("/studies?view=all&state=waiting").text)
    assert "No study matches" in client.get("/studies?finding=Pneumonia&state=rejected").text


@pytest.mark.parametrize(
    "query",
    ["state=x", "before=x", "before=-1", "after=" + "9" * 40, "finding=%00", "after=1." + "9" * 17, "version=x"],
)
def test_a_senseless_query_is_answered_all_the_same(client, rows, query):
    """Invalid parameters are ignored."""
    rows.study(None)

    assert 200 == client.get(f"/studies?{query}").status_code


@pytest.mark.parametrize("number", [4711, 2**31, 2**64, 10**40])
def test_an_unknown_study_is_not_found(client, number):
    """The answer is an error page, also for a number that no database can store."""
    answer = client.get(f"/studies/{number}")

    assert 404 == answer.status_code
    assert "Page not found" in answer.text


def test_the_page_of_an_unfinished_study_reloads_when_a_film_is_finished(client, rows, scores):
    """The script of the page polls the server."""
    study = rows.study(scores(Pneumonia=0.5), None, model=rows.model())

    address = re.search(r'data-poll="([^"]+)"', client.get(f"/studies/{study}").text)[1]

    assert f"/studies/{study}/now?finished=1" == address
    assert {"parts": {}, "reload": False} == client.get(address).json
    assert {"parts": {}, "reload": True} == client.get(f"/studies/{study}/now?finished=0").json
