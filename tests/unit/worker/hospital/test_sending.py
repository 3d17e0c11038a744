"""Results go to each destination once and in order, whatever the archive answers."""

import json
import ssl
from datetime import timedelta

import pytest
from fake_archive import FakeArchive, FakeDicomWeb
from owed_results import (
    add_part,
    all_exports,
    let_time_pass,
    pauses,
    score,
    sender,
    variables,
    write_keys,
)
from PIL import Image as Picture
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage
from reported import FIGURES, identity
from sqlalchemy import update

from worker import wakeups
from worker.database import now, reading, transaction
from worker.demo.embedded_redis import free_port
from worker.hospital import exports, parts
from worker.hospital.export_records import Export
from worker.hospital.identity import read_certificate
from worker.hospital.records import ArrivalPart, ClosedBy
from worker.hospital.study_results import PATIENCE
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import heat_map_path
from worker.settings import settings


@pytest.fixture
def archive():
    started = FakeArchive()
    yield started
    started.stop()


@pytest.fixture
def web():
    started = FakeDicomWeb()
    yield started
    started.stop()


@pytest.fixture
def configure(database, tmp_path, monkeypatch):
    """Return a function that configures destinations; workers are not woken."""
    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    monkeypatch.setattr(wakeups, "wake_for_heat_maps", lambda: True)

    def begin(**destinations):
        for name, value in variables(tmp_path, destinations).items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    return begin


@pytest.fixture
def reports(configure, archive):
    """One destination that takes reports alone."""
    configure(pacs=archive.destination(objects=["sr"]))
    return archive


def states():
    return [(row.destination, row.kind, row.state, row.trouble) for row in all_exports()]


def seconds_until(moment):
    return round((moment - now()).total_seconds(), -1)


def test_a_result_goes_out_when_its_last_film_is_finished(reports):
    """Not earlier, and not again; under the original identifiers."""
    add_part(identity(), identity(sop_instance_uid=b"1.2.3.1.2"), finish=False)
    assert 0 == sender().send_due()

    score(reject=[1])

    assert (1, 0) == (sender().send_due(), sender().send_due())
    (report,) = reports.objects
    assert ("4711", "Müller^Jörg", "1.2.3") == (report.PatientID, str(report.PatientName), report.StudyInstanceUID)
    assert len(FIGURES) == str(report).count("Certainty of Finding")
    (export,) = all_exports()
    assert (Comprehensive3DSRStorage, report.SOPInstanceUID) == (export.sop_class_uid, export.sop_instance_uid)
    assert ("sent", None, 1) == (export.state, export.trouble, export.attempts)


def test_each_destination_gets_the_objects_that_it_wants(configure, archive, web):
    """Report and picture of one study travel in one association."""
    configure(pacs=archive.destination(), vna=web.destination(objects=["picture"]))
    add_part(finish=False)
    score({"No-Findings": 0.9, "Effusions": 0.1})

    assert 3 == sender().send_due()

    assert [Comprehensive3DSRStorage, SecondaryCaptureImageStorage] == [made.SOPClassUID for made in archive.objects]
    assert (1, SecondaryCaptureImageStorage) == (archive.associations, web.objects[0].SOPClassUID)
    assert 3 == len({made.SOPInstanceUID for made in [*archive.objects, *web.objects]})


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_is_kept_and_the_object_counts_as_sent(reports, status):
    """So does a duplicate, which the archive has."""
    reports.status = status
    add_part()

    sender().send_due()

    assert [("pacs", "sr", "sent", f"{status:04X}")] == states()


@pytest.mark.parametrize("status", [0xA700, 0x0213, None])
def test_an_archive_in_trouble_is_tried_again_with_the_same_object(reports, status):
    """After pauses that double. The other exports of the destination wait with it, uncharged."""
    reports.status = status
    add_part()
    add_part(identity(study_instance_uid=b"1.2.4"))
    pauses_seen = []
    for _ in range(3):
        assert 0 == sender().send_due()
        pauses_seen.append(seconds_until(pauses()["pacs"].until))
        assert 0 == sender().send_due()
        let_time_pass()
    assert ([30, 60, 120], [3, 0]) == (pauses_seen, [row.attempts for row in all_exports()])

    reports.status = 0x0000

    assert 2 == sender().send_due()
    assert {} == pauses()
    assert 2 == len({made.SOPInstanceUID for made in reports.objects})


def test_an_export_is_given_up_after_thirty_attempts(reports):
    """The last code stays."""
    reports.status = 0xA700
    add_part()
    with transaction() as session:
        session.execute(update(Export).values(attempts=29))

    sender().send_due()

    assert [("pacs", "sr", "refused", "A700")] == states()


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_what_is_not_wanted_is_refused_at_once(reports, status):
    """The other exports go on."""
    add_part()
    add_part(identity(study_instance_uid=b"1.2.4"))
    reports.status = status

    sender().send_due()

    assert [("pacs", "sr", "refused", f"{status:04X}")] * 2 == states()
    assert (2, {}) == (reports.requests, pauses())


def test_a_processing_failure_is_tried_five_times(reports):
    """Then it is refused."""
    reports.status = 0x0110
    add_part()
    for _ in range(7):
        sender().send_due()
        let_time_pass()

    assert ([("pacs", "sr", "refused", "0110")], 5) == (states(), reports.requests)


def test_a_permanent_rejection_rests_the_destination_and_charges_no_export(reports, caplog):
    """Four tries an hour, and an alarm."""
    reports.rejection = (1, 1, 7)
    for number in range(5):
        add_part(identity(study_instance_uid=b"1.2.%d" % number))

    for _ in range(5):
        sender().send_due()

    assert (1, [0] * 5) == (reports.associations, [row.attempts for row in all_exports()])
    assert (900, True, "rejected_1_1_7") == (
        seconds_until(pauses()["pacs"].until), pauses()["pacs"].misconfigured, pauses()["pacs"].trouble
    )  # fmt: skip
    assert "somebody must look" in caplog.text
    reports.rejection = None
    let_time_pass()
    assert 5 == sender().send_due()


def test_an_unknown_called_title_rests_the_destination(configure, archive):
    """It is what an archive answers before its administrator has added us."""
    configure(pacs=archive.destination(called="WRONG", objects=["sr"]))
    add_part()

    sender().send_due()

    assert pauses()["pacs"].misconfigured
    assert [("pacs", "sr", "owed", "rejected_1_1_7")] == states()


# pynetdicom does not close the socket of a connection that was refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_transient_rejection_and_a_closed_port_are_tried_again(configure, archive):
    """Another destination is not concerned."""
    archive.rejection = (2, 3, 1)
    other = FakeArchive()
    closed = {"kind": "dicom", "host": "127.0.0.1", "port": free_port(), "called": "PACS1", "objects": ["sr"]}
    configure(busy=archive.destination(objects=["sr"]), closed=closed, fine=other.destination(objects=["sr"]))
    add_part()

    sender().send_due()
    other.stop()

    assert {("busy", "owed", "rejected_2_3_1"), ("closed", "owed", "no_association"), ("fine", "sent", None)} == {
        (destination, state, trouble) for destination, _, state, trouble in states()
    }
    assert [False, False] == [pause.misconfigured for pause in pauses().values()]


def test_an_archive_without_the_newer_class_gets_the_older_report(configure):
    """The content is the same, and the UID is another one."""
    older = FakeArchive(classes=[ComprehensiveSRStorage])
    configure(pacs=older.destination())
    add_part()

    sender().send_due()
    older.stop()

    assert [ComprehensiveSRStorage] == [made.SOPClassUID for made in older.objects]
    assert [("sr", "sent", None), ("picture", "owed", None)] == [state[1:] for state in states()]


def test_an_archive_that_takes_no_reports_refuses_them(configure):
    """Nothing is sent that was not negotiated."""
    pictures = FakeArchive(classes=[SecondaryCaptureImageStorage])
    configure(pacs=pictures.destination(objects=["sr"]))
    add_part()

    sender().send_due()
    pictures.stop()

    assert [("pacs", "sr", "refused", "context_not_accepted")] == states()


def test_an_archive_that_accepts_nothing_refuses_each_object(configure):
    """No context at all was accepted."""
    nothing = FakeArchive(classes=["1.2.840.10008.5.1.4.1.1.2"])
    configure(pacs=nothing.destination(objects=["sr"]))
    add_part()

    sender().send_due()
    nothing.stop()

    assert [("pacs", "sr", "refused", "context_not_accepted")] == states()


def test_a_later_part_replaces_the_report_of_the_earlier_one(reports):
    """It waits for it, names it, and stands in the same series."""
    reports.status = 0xA700
    add_part(number=1)
    sender().send_due()
    add_part(identity(), identity(sop_instance_uid=b"1.2.3.1.2"), number=2)
    let_time_pass()
    with transaction() as session:
        session.execute(update(Export).where(Export.number == 1, Export.part_id == 1).values(next_at=now() + PATIENCE))
    reports.status = 0x0000
    assert 0 == sender().send_due()

    let_time_pass()

    assert [1, 1] == [sender().send_due() for _ in range(2)]
    first, second = reports.objects
    (series,) = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert first.SOPInstanceUID == series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert (first.SeriesInstanceUID, "1.2.3") == (second.SeriesInstanceUID, second.StudyInstanceUID)
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_a_report_that_was_never_sent_is_no_predecessor(reports):
    """The archive does not have it."""
    reports.status = 0xC000
    add_part(number=1)
    sender().send_due()
    reports.status = 0x0000
    add_part(number=2)

    sender().send_due()

    assert "PredecessorDocumentsSequence" not in reports.objects[0]


def test_two_senders_send_an_object_once(reports):
    """The second one finds the export claimed."""
    add_part()
    with transaction() as session:
        assert exports.claim(session, 1) is not None

    assert 0 == sender().send_due()

    let_time_pass()
    assert 1 == sender().send_due()
    assert 2 == all_exports()[0].attempts


def test_an_object_whose_answer_was_lost_is_sent_again_under_its_uid(reports):
    """The archive has it once."""
    add_part()
    sender().send_due()
    with transaction() as session:
        session.execute(update(Export).values(sent_at=None, next_at=now()))

    sender().send_due()

    first, second = reports.objects
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first == second


def test_a_study_without_a_scored_film_makes_no_report(reports):
    """Its outcome stands on the page."""
    add_part(finish=False)
    score(reject=[0])

    sender().send_due()

    assert ([("pacs", "sr", "refused", "no_film_was_scored")], 0) == (states(), reports.associations - 1)


def test_an_identity_that_cannot_be_opened_is_refused(reports, tmp_path):
    """The key was changed, or the identity deleted."""
    (tmp_path / "other").mkdir()
    certificate, _ = write_keys(tmp_path / "other")
    add_part(certificate=read_certificate(certificate))

    sender().send_due()

    assert [("pacs", "sr", "refused", "identity_gone")] == states()


def test_a_film_without_series_cannot_be_reported(reports):
    """The report must reference it."""
    add_part(identity(series_instance_uid=b""))

    sender().send_due()

    assert [("pacs", "sr", "refused", "identity_incomplete")] == states()


def test_the_picture_waits_for_its_heat_map(configure, archive):
    """Which is requested; the wait charges nobody."""
    configure(pacs=archive.destination(objects=["picture"]))
    add_part()

    assert 0 == sender().send_due()

    (export,) = all_exports()
    assert (0, "owed", 0) == (export.attempts, export.state, archive.associations)
    request = heat_map_requests.claim()
    assert "Pneumothorax" == request.finding
    path = heat_map_path(settings().heat_maps_dir, request.image_sha256, request.card.version, request.finding)
    path.parent.mkdir(parents=True)
    Picture.new("LA", (32, 24), (255, 255)).save(path, "PNG")
    heat_map_requests.finish(request.heat_map_id)
    let_time_pass()
    assert 1 == sender().send_due()
    film = archive.objects[0].pixel_array[450, 450]
    assert film[0] > film[2] + 50


def test_a_heat_map_that_does_not_come_is_left_out(configure, archive):
    """A worker may be out for a day; the figures are more than the picture."""
    configure(pacs=archive.destination(objects=["picture"]))
    part_id = add_part()
    sender().send_due()
    let_time_pass()
    with transaction() as session:
        submission = session.get(ArrivalPart, part_id).submission
        submission.studies[0].finished_at = now() - PATIENCE - timedelta(seconds=1)
        session.execute(update(Export).values(created_at=now() - 2 * PATIENCE))

    assert 1 == sender().send_due()

    film = archive.objects[0].pixel_array[450, 450]
    assert (film == film[0]).all()


def test_dicomweb_gets_one_object_in_a_multipart_body(configure, web):
    """With the configured credentials; an empty FailedSOPSequence is a success."""
    configure(vna=web.destination(objects=["sr"], authorization="Bearer secret"))
    add_part()

    assert 1 == sender().send_due()

    (headers,) = web.headers_seen
    assert ("/dicom-web/studies", "Bearer secret") == (headers["path"], headers["Authorization"])
    assert ("4711", Comprehensive3DSRStorage) == (web.objects[0].PatientID, web.objects[0].SOPClassUID)


@pytest.mark.parametrize(
    ("status", "reason", "state", "trouble", "rests"),
    [
        (202, 0xA700, "owed", "A700", False), (200, 0xC000, "refused", "C000", None),
        (409, None, "refused", "http_409", None), (503, None, "owed", "http_503", False),
        (401, None, "owed", "http_401", True), (307, None, "owed", "http_307", True),
    ],
)  # fmt: skip
def test_the_answers_of_dicomweb_decide(configure, web, status, reason, state, trouble, rests):
    """As those of C-STORE do; no redirect is followed."""
    configure(vna=web.destination(objects=["sr"]))
    add_part()
    web.status = status
    if reason:
        web.answer = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}

    sender().send_due()

    assert [("vna", "sr", state, trouble)] == states()
    assert rests == (pauses()["vna"].misconfigured if pauses() else None)
    assert 1 == len(web.headers_seen)


@pytest.mark.parametrize("answer", [[], {}, {"00081198": 5}, {"00081198": {"Value": 7}}, "x"])
def test_an_answer_of_dicomweb_that_cannot_be_read_is_judged_by_its_status(configure, web, answer):
    """200 says that everything was stored."""
    configure(vna=web.destination(objects=["sr"]))
    add_part()
    web.answer = answer

    assert 1 == sender().send_due()


def test_a_destination_that_was_removed_from_the_settings_rests(reports, monkeypatch):
    """What is owed to it waits for a person, who may cancel it."""
    add_part()
    monkeypatch.setenv("THORAQ_DESTINATIONS", "{}")
    monkeypatch.setenv("THORAQ_DOORS", "{}")
    settings.cache_clear()

    sender().send_due()

    assert ([("pacs", "sr", "owed", "not_configured")], True) == (states(), pauses()["pacs"].misconfigured)


def test_no_answer_of_an_archive_and_no_name_reaches_the_log(reports, caplog):
    """Only codes do."""
    reports.status = 0xC000
    add_part()

    with caplog.at_level("DEBUG"):
        sender().send_due()

    assert "4711" not in caplog.text
    assert "Jörg" not in caplog.text
    assert "J\\xf6rg" not in caplog.text


def test_a_part_of_another_door_owes_nothing(reports):
    """And so does one without a film."""
    with transaction() as session:
        closed = {"closes_at": now(), "closed_at": now(), "closed_by": "silence"}
        for number, door in enumerate(("THORAQ", "OTHER")):
            part = ArrivalPart(source="s", study_instance_uid="1.9", number=number, door=door, **closed)
            session.add(part)
            session.flush()
            assert 0 == exports.owe(session, part)


def test_a_door_cannot_owe_results_to_nobody(monkeypatch, database):
    """The setting is refused, so that no result is forgotten."""
    door = {"source": "s", "callers": {"A": ["10.0.0.1"]}, "results": ["nowhere"]}
    monkeypatch.setenv("THORAQ_DOORS", json.dumps({"THORAQ": door}))
    settings.cache_clear()

    with pytest.raises(ValueError, match="THORAQ_DESTINATIONS does not have nowhere"):
        settings()


def test_dicomweb_needs_tls_in_production(monkeypatch, database, web):
    """Names would cross the network in clear."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    monkeypatch.setenv("THORAQ_DESTINATIONS", json.dumps({"vna": web.destination()}))
    settings.cache_clear()

    with pytest.raises(ValueError, match="DICOMweb needs https: vna"):
        settings()


def test_a_rescored_part_is_sent_again_only_if_a_person_asks(reports):
    """As a replacement of what was sent."""
    part_id = add_part()
    sender().send_due()
    assert 0 == sender().send_due()

    with transaction() as session:
        assert 1 == exports.replace(session, session.get(ArrivalPart, part_id))

    assert 1 == sender().send_due()
    first, second = reports.objects
    (series,) = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert first.SOPInstanceUID == series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    with reading() as session:
        assert [1, 2] == [export.number for export in exports.select_exports(session, part_id=part_id)]


@pytest.fixture
def encrypted(tmp_path):
    """An archive that speaks TLS, and the certificate by which it is known."""
    certificate, key = write_keys(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    started = FakeArchive(tls=context)
    yield started, str(certificate)
    started.stop()


# pynetdicom does not close the socket of a connection that failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_result_is_sent_by_tls_to_an_archive_that_is_known(configure, encrypted):
    """To another one nothing is sent: the destination rests until somebody looks at its certificate."""
    archive, certificate = encrypted
    known = archive.destination(objects=["sr"], tls=True, authorities=certificate)
    configure(known=known, unknown=archive.destination(objects=["sr"], tls=True))
    add_part()

    assert 1 == sender().send_due()

    assert {("known", "sent", None), ("unknown", "owed", "certificate")} == {
        (destination, state, trouble) for destination, _, state, trouble in states()
    }
    assert pauses()["unknown"].misconfigured
    assert 1 == len(archive.objects)


def test_a_missing_certificate_file_rests_the_destination(configure, archive, tmp_path):
    """The log names the setting."""
    configure(pacs=archive.destination(objects=["sr"], tls=True, authorities=str(tmp_path / "missing")))
    add_part()

    sender().send_due()

    assert ([("pacs", "sr", "owed", "not_configured")], 0) == (states(), archive.associations)


@pytest.mark.parametrize(("by", "owed"), [(ClosedBy.SILENCE, 1), (ClosedBy.MAXIMUM, 1), (ClosedBy.REPLACED, 0)])
def test_the_results_of_a_part_are_owed_when_it_is_closed(reports, by, owed):
    """In the same transaction. What was replaced while it was open has a successor."""
    part_id = add_part(owe=False, finish=False)

    with transaction() as session:
        parts.close(session, session.get(ArrivalPart, part_id), by, now())

    assert owed == len(all_exports())
