"""The worklist: order, pages, filters, search, live rows and exports."""

import csv
import io
import re
from datetime import timedelta

import pytest

from dashboard.accounts.accounts import Role
from dashboard.studies import worklist_page
from dashboard.studies.filters import Cursor, Filters, View, parse_cursor, select_page
from worker.database import now, reading, transaction
from worker.studies import worklist_order
from worker.studies.records import Study


@pytest.fixture(autouse=True)
def _reader(auth):
    auth.login(Role.CLINICIAN)


def ids(text: str) -> list[int]:
    """Return the studies that a list links to, in its order."""
    return [int(study_id) for study_id in re.findall(r'href="/studies/(\d+)"', text)]


def change(study_id: int, **values: object) -> None:
    with transaction() as session:
        for name, value in values.items():
            setattr(session.get(Study, study_id), name, value)


def test_the_most_severe_finding_comes_first_and_what_was_read_comes_no_more(client, rows, scores):
    """Pneumothorax has a larger weight than Infiltration, and No-Findings has weight 0."""
    model = rows.model()
    calm = rows.study(scores(No_Findings=0.9), model=model)
    mild = rows.study(scores(Infiltration=0.9), model=model)
    severe = rows.study(scores(Pneumothorax=0.9), model=model)
    read = rows.study(scores(Pneumothorax=0.99), model=model)
    change(read, read_at=now())

    assert [severe, mild, calm] == ids(client.get("/studies").text)
    assert [read, severe, mild, calm] == ids(client.get("/studies?view=all").text)


def test_nothing_waits_longer_than_the_longest_wait_behind_what_came_later():
    """The least severe study is due before the most severe one that came a day later."""
    received = now()
    calm = worklist_order.due_at(received, 1, {"No-Findings": 1.0})
    severe = worklist_order.due_at(received + timedelta(hours=24, seconds=1), 1, {"Pneumothorax": 1.0})

    assert calm < severe
    assert (
        worklist_order.due_at(received, 0, {})
        < worklist_order.due_at(received, 1, {})
        == received + timedelta(hours=12)
    )


def test_a_finding_that_no_weight_is_known_for_has_the_other_weight():
    """A new model version may have classes that the settings do not list."""
    assert 0.4 == pytest.approx(worklist_order.severity({"Nodule": 0.8}))


@pytest.mark.parametrize("view", [View.OPEN, View.ALL])
def test_pages_meet_without_gap_or_overlap_in_both_directions(rows, view):
    """This also holds if several studies are due at the same moment."""
    written = [rows.study(None) for _ in range(7)]
    due = now()
    for study in written[2:5]:
        change(study, due_at=due)
    filters = Filters(view=view)
    with reading() as session:
        first = select_page(session, filters, size=3)
        second = select_page(session, filters, parse_cursor(first.following), size=3)
        third = select_page(session, filters, parse_cursor(second.following), size=3)
        back = select_page(session, filters, parse_cursor(third.previous, backwards=True), size=3)

    assert sorted(written) == sorted([*first.ids, *second.ids, *third.ids])
    assert list(second.ids) == list(back.ids)
    assert (None, None) == (first.previous, third.following)
    assert None not in (back.previous, back.following)


def test_the_list_links_to_its_next_page_and_keeps_the_filters(client, rows, monkeypatch):
    """No link contains an identifier."""
    written = [rows.study("blank", accession_number="A-77") for _ in range(3)]
    monkeypatch.setattr(
        worklist_page, "select_page", lambda session, filters, place=None: select_page(session, filters, place, 2)
    )

    text = client.get("/studies?view=all&state=rejected").text
    following = re.search(r'rel="next" href="([^"]+)"', text)[1].replace("&amp;", "&")

    assert f"/studies?after={written[1]}&state=rejected&view=all" == following
    assert [written[0]] == ids(client.get(following).text)
    assert "A-77" not in "".join(re.findall(r'(?:href|action|data-poll)="[^"]*"', text))


def test_filters_by_version_source_and_day_narrow_both_lists(client, rows, scores):
    """Each filter works alone and with the others."""
    one, other = rows.model("v3-aaaaaaaaaaaa"), rows.model("v3-bbbbbbbbbbbb")
    first = rows.study(scores(Effusions=0.9), model=one)
    second = rows.study(scores(Effusions=0.9), model=other, source="pacs-south", received_at=now() - timedelta(days=3))
    change(second, due_at=now() - timedelta(days=2))
    today, before = now().date(), now().date() - timedelta(days=2)

    for view in View:
        for query, expected in {
            "version=v3-aaaaaaaaaaaa": [first],
            "source=pacs-south": [second],
            f"since={today}": [first],
            f"until={before}": [second],
            f"until={before}&source=pacs-north": [],
            f"since={before - timedelta(days=2)}&finding=Effusions&version=v3-bbbbbbbbbbbb&state=scored": [second],
        }.items():
            assert expected == ids(client.get(f"/studies?view={view}&{query}").text), (view, query)
    assert 400 == client.get("/studies?since=tomorrow").status_code


def test_an_accession_number_is_found_by_post_and_stands_in_no_address(client, auth, rows):
    """It identifies a patient: it must not reach logs, browser histories and referrers."""
    study = rows.study(None, accession_number="A-4711")
    rows.study(None, accession_number="A-4712")
    token = auth.token("/studies")

    answer = client.post("/studies/find", data={"csrf_token": token, "accession": " A-4711 "})

    assert [study] == ids(answer.text)
    assert "No study found" in client.post("/studies/find", data={"csrf_token": token, "accession": "A-4713"}).text
    assert 405 == client.get("/studies/find").status_code or 404 == client.get("/studies/find").status_code
    assert 303 == client.post("/studies/find", data={"csrf_token": token, "accession": "\0"}).status_code


def test_rows_are_sent_again_only_when_they_have_changed(client, rows, scores):
    """A poll without changes transfers a few bytes."""
    rows.study(None)
    address = re.search(r'data-poll="([^"]+)" data-poll-seen="([^"]+)"', client.get("/studies").text)
    same = client.get(address[1], query_string={"seen": address[2]})
    rows.study(scores(Pneumonia=0.5), model=rows.model())
    changed = client.get(address[1], query_string={"seen": address[2]}).json

    assert {"seen": address[2], "parts": {}} == same.json
    assert len(same.data) < 100
    assert "Pneumonia" in changed["parts"]["rows"]
    assert changed["seen"] != address[2]


def test_what_is_shown_is_exported_with_all_probabilities_in_the_same_order(client, rows, scores):
    """In CSV, a text that a spreadsheet would take for a formula is quoted."""
    model = rows.model()
    calm = rows.study(scores(No_Findings=0.9), model=model, accession_number="=1+1")
    severe = rows.study(scores(Pneumothorax=0.9), model=model)
    rows.study("corrupt")

    table = list(csv.DictReader(io.StringIO(client.get("/studies/export.csv?state=scored").text)))
    document = client.get("/studies/export.json?state=scored").json

    assert [str(severe), str(calm)] == [row["study"] for row in table]
    assert "0.9" == table[0]["Pneumothorax"]
    assert "'=1+1" == table[1]["accession_number"]
    assert [severe, calm] == [row["study"] for row in document["studies"]]
    assert 0.9 == document["studies"][0]["probabilities"]["Pneumothorax"]
    assert "not a medical device" in document["notice"].lower()
    assert 404 == client.get("/studies/export.xml").status_code


def test_an_empty_export_is_a_whole_document(client, rows):
    """It has only the column names."""
    assert 1 == len(client.get("/studies/export.csv").text.splitlines())
    assert [] == client.get("/studies/export.json").json["studies"]


def test_a_cursor_is_read_as_it_was_written():
    """Times are exact to the microsecond."""
    place = Cursor(7, now())

    assert place == parse_cursor(place.text())
