"""Reviews, the worklist button and retries on the page of a study, and its decisions at the operating points."""

import pytest

from dashboard.accounts.accounts import Role
from worker.database import reading
from worker.models.operating_points import Call, Decision, Point, abstains
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Study

POINTS = [
    {
        "class": "Pneumonia",
        "rule": "sensitivity at least 0.95",
        "threshold": 0.1,
        "test": {"sensitivity": 0.96, "n": 80},
    },
    {"class": "Pneumonia", "rule": "Youden", "threshold": 0.4, "test": {"sensitivity": 0.7, "n": 80}},
]


@pytest.fixture
def clinician(auth):
    auth.login(Role.CLINICIAN)
    return auth


def send(clinician, study: int, action: str = "review", **form: object):
    token = clinician.token(f"/studies/{study}")
    return clinician.client.post(
        f"/studies/{study}/{action}", data={"csrf_token": token, **form}, follow_redirects=True
    )


@pytest.mark.parametrize(
    ("probability", "call"),
    [(0.05, Call.NOT_CALLED), (0.1, Call.UNCERTAIN), (0.39, Call.UNCERTAIN), (0.4, Call.CALLED)],
)
def test_a_finding_is_called_from_the_higher_point_on_and_uncertain_between_the_two(probability, call):
    """The version abstains if it calls no finding."""
    points = [Point("sensitive", 0.1, None, None, None), Point("Youden", 0.4, None, None, None)]
    entry = Decision("Pneumonia", probability, points)

    assert call == entry.call
    assert abstains([entry]) == (call != Call.CALLED)
    assert Call.NO_POINT == Decision("Pneumonia", 1.0, []).call
    assert not abstains([Decision("Pneumonia", 1.0, [])])


def test_where_the_version_abstains_the_page_says_so(client, clinician, rows, scores):
    """The page also shows the sensitivity and specificity of the points, with n."""
    model = rows.model(report={"operating_points": POINTS})
    called = client.get(f"/studies/{rows.study(scores(Pneumonia=0.5), model=model)}").text
    unsure = client.get(f"/studies/{rows.study(scores(Pneumonia=0.3), model=model)}").text

    assert "Uncertain: not called." not in called
    assert "Uncertain: not called." in unsure
    assert "uncertain: not called" in unsure
    assert "96.0" in called


def test_an_agreement_is_stored_as_a_label_and_the_study_leaves_the_worklist(client, clinician, rows, scores):
    """Retraining uses the label; a second review is added to the first one."""
    study = rows.study(scores(Pneumonia=0.9), model=rows.model())

    assert "Your review was saved" in send(clinician, study, verdict="agree", note="clear").text

    assert f'/studies/{study}"' not in client.get("/studies").text
    send(clinician, study, verdict="correct", findings=["Effusions", "Covid-19"])
    with reading() as session:
        newest, first = reviews.of_study(session, study)
        assert ("agree", ["Pneumonia"], "clear", "clinician") == (
            first.verdict, first.findings, first.note, first.reviewed_by,
        )  # fmt: skip
        assert ("correct", ["Covid-19", "Effusions"]) == (newest.verdict, newest.findings)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({}, "choose whether you agree"),
        ({"verdict": "correct"}, "names at least one finding"),
        ({"verdict": "correct", "findings": ["No-Findings", "Effusions"]}, "excludes every other"),
        ({"verdict": "correct", "findings": ["x" * 65]}, "are unknown"),
        ({"verdict": "agree", "note": "x" * 1025}, "at most 1024 characters"),
        ({"verdict": "agree", "film": "999999"}, "no scored film"),
    ],
)
def test_an_unfit_review_changes_nothing_and_says_why(clinician, rows, scores, form, why):
    """An invalid review must not become a label."""
    study = rows.study(scores(Pneumonia=0.9), model=rows.model())

    text = send(clinician, study, **form).text

    assert "Nothing was saved" in text
    assert why in text
    with reading() as session:
        assert [] == reviews.of_study(session, study)
        assert session.get(Study, study).read_at is None


def test_a_rejected_film_is_tried_again_or_the_study_taken_off_the_worklist(client, clinician, rows, monkeypatch):
    """The clinician decides which."""
    sent = []
    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda films, batch: sent.append(films))
    seen, again = rows.study("corrupt"), rows.study("corrupt")

    send(clinician, seen, "seen")
    send(clinician, again, "replay")

    assert [1] == sent
    with reading() as session:
        assert session.get(Study, seen).read_at is not None
        assert [ImageState.WAITING] == [image.state for image in session.get(Study, again).images]
    assert 409 == client.post(f"/studies/{again}/seen", data={"csrf_token": clinician.token("/studies")}).status_code


def test_earlier_studies_of_the_patient_are_linked_and_those_of_another_sender_are_not(client, clinician, rows, scores):
    """A pseudonym is valid for one source only."""
    model = rows.model()
    earlier = rows.study(scores(Effusions=0.8), model=model, patient_key="h:1")
    foreign = rows.study(scores(Effusions=0.8), model=model, patient_key="h:1", source="pacs-south")
    study = rows.study(scores(Pneumonia=0.8), model=model, patient_key="h:1")

    text = client.get(f"/studies/{study}").text

    assert f'href="/studies/{earlier}"' in text
    assert f'href="/studies/{foreign}"' not in text


def test_all_rejected_films_of_a_reason_are_tried_again_at_once(client, auth, rows, monkeypatch):
    """Scientists and administrators may do it."""
    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda films, batch: True)
    auth.login(Role.SCIENTIST)
    for _ in range(3):
        rows.study("corrupt")
    rows.study("blank")
    token = auth.token("/queue/rejected")

    text = client.post(
        "/queue/rejected/replay", data={"csrf_token": token, "reason": "corrupt"}, follow_redirects=True
    ).text

    assert "3 films will be retried" in text
    assert "Blank" in text
    with reading() as session:
        assert 3 == session.query(Image).filter_by(state="waiting").count()
