"""Who is let in at a door, what is negotiated, and how a C-STORE is answered; pynetdicom is both ends."""

import logging

import pytest
from hospital_rig import DOORS, film, wait_for
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind, Verification

from worker.decoding import decode
from worker.decoding.dicom_header import PLUGINS
from worker.hospital.associations import FILM_SYNTAXES

DX = DigitalXRayImageStorageForPresentation


def rejection(association):
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_success_means_that_the_film_is_in_the_spool(receiver):
    """What the sender may now delete can be found again, without its name."""
    with receiver.association() as association:
        status = association.send_c_store(film())
        assert 0 == status.Status
        ((arrived, stored),) = receiver.spooled()

    assert ("THORAQ", "PACS1", "pacs-north") == (arrived.door, arrived.calling_ae, arrived.source)
    assert ("1.2.3", "1.2.3.7", "1.2.3.1", "A1") == (
        arrived.study_instance_uid, arrived.series_instance_uid, arrived.sop_instance_uid, arrived.accession_number
    )  # fmt: skip
    assert 64 == len(arrived.patient_key)
    assert (film().Rows, film().Columns) == decode(stored).shape
    for path in receiver.spool.waiting():
        assert b"Canarius" not in path.read_bytes()


def test_an_instance_that_is_sent_again_is_one_file(receiver):
    """A sender that got no answer repeats."""
    with receiver.association() as association:
        for _ in range(2):
            assert 0 == association.send_c_store(film()).Status

    assert 1 == len(receiver.spooled())


@pytest.mark.parametrize(
    ("called", "calling", "expected"),
    [
        ("NOBODY", "PACS1", (1, 1, 7)),
        ("THORAQ", "STRANGER", (1, 1, 3)),
        ("ELSEWHERE", "PACS1", (1, 1, 3)),
    ],
)
def test_who_is_not_declared_is_rejected_for_good(receiver, called, calling, expected):
    """An AE title alone opens nothing, and neither does an address alone."""
    with receiver.association(called=called, calling=calling) as association:
        assert association.is_rejected
        assert expected == rejection(association)


def test_another_object_is_counted_and_set_aside(receiver):
    """A study with a report must not fail as a whole: a routing rule sends all of it."""
    with receiver.association(CTImageStorage, DX) as association:
        assert 0 == association.send_c_store(film(SOPClassUID=CTImageStorage)).Status

    ((arrived, stored),) = receiver.spooled()
    assert (None, None, b"") == (arrived.film_sha256, arrived.identity, stored)


def test_a_door_may_refuse_other_objects(receiver):
    """Then they are not negotiated."""
    with receiver.association(CTImageStorage, DX, called="URGENT") as association:
        assert [DX] == [context.abstract_syntax for context in association.accepted_contexts]


def test_queries_are_not_negotiated(receiver):
    """The receiver gives nothing out."""
    with receiver.association(PatientRootQueryRetrieveInformationModelFind, Verification) as association:
        assert [Verification] == [context.abstract_syntax for context in association.accepted_contexts]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([JPEG2000Lossless, ExplicitVRLittleEndian], JPEG2000Lossless),
        ([ImplicitVRLittleEndian, JPEG2000Lossless], ImplicitVRLittleEndian),
        ([MPEG2MPML, ExplicitVRBigEndian], ExplicitVRBigEndian),
        ([RLELossless], RLELossless),
    ],
)
def test_the_sender_chooses_the_transfer_syntax(receiver, offered, chosen):
    """Nobody has to decompress, and none is taken that the worker cannot read."""
    with receiver.association(DX, syntaxes=offered) as association:
        assert [[chosen]] == [context.transfer_syntax for context in association.accepted_contexts]


def test_every_syntax_that_the_worker_reads_is_taken():
    """The list follows the decoder."""
    uncompressed = {
        ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian
    }  # fmt: skip

    assert {*uncompressed, *PLUGINS} == FILM_SYNTAXES


@pytest.mark.parametrize(
    ("syntax", "changes"),
    [
        (ImplicitVRLittleEndian, {}),
        (ExplicitVRBigEndian, {}),
        (DeflatedExplicitVRLittleEndian, {}),
    ],
)
def test_a_film_arrives_in_each_encoding(receiver, syntax, changes):
    """Its pixels are those that were sent."""
    sent = film(syntax=syntax, **changes)
    with receiver.association(DX, syntaxes=[syntax]) as association:
        assert 0 == association.send_c_store(sent).Status

    ((_, stored),) = receiver.spooled()
    assert decode(stored).shape == (sent.Rows, sent.Columns)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"StudyInstanceUID": None}, 0xC000),
        ({"StudyInstanceUID": "Vogel"}, 0xC000),
    ],
)
def test_a_film_without_uids_is_not_understood(receiver, change, expected):
    """It could not be filed, and nobody could be given its result."""
    made = film()
    for name, value in change.items():
        if value is None:
            delattr(made, name)
        else:
            made[name].value = value
    with receiver.association() as association:
        assert expected == association.send_c_store(made).Status
    assert [] == receiver.spooled()


def test_a_header_that_contradicts_its_command_does_not_match(receiver):
    """One of the two names another instance."""
    made = film()
    with receiver.association(SecondaryCaptureImageStorage, DX) as association:
        context = next(c for c in association.accepted_contexts if c.abstract_syntax == DX)
        from pynetdicom.dimse_primitives import C_STORE
        from pynetdicom.dsutils import encode

        request = C_STORE()
        request.MessageID, request.Priority = 1, 0
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = DX, "9.9.9"
        from io import BytesIO

        syntax = context.transfer_syntax[0]
        request.DataSet = BytesIO(encode(made, syntax.is_implicit_VR, syntax.is_little_endian))
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert 0xA900 == answer.Status


def test_a_full_spool_rejects_for_now_and_answers_an_echo(receiver, monkeypatch):
    """Senders try again later; open associations hear it for each instance; an echo is always answered."""
    with receiver.association() as association:
        monkeypatch.setattr(receiver.spool, "is_full", lambda: True)
        assert 0xA700 == association.send_c_store(film()).Status
    with receiver.association() as association:
        assert (2, 3, 1) == rejection(association)
    with receiver.association(Verification) as association:
        assert 0 == association.send_c_echo().Status
    monkeypatch.setattr(receiver.spool, "is_full", lambda: False)
    with receiver.association() as association:
        assert 0 == association.send_c_store(film()).Status


def test_a_disk_that_fails_is_no_success(receiver, monkeypatch, caplog):
    """The answer is given after the file is on the disk, so there is none before."""
    from worker.storage import atomic_files

    def fail(*_):
        raise OSError(28, "No space left on device", "/spool/secret")

    monkeypatch.setattr(atomic_files, "write", fail)
    with receiver.association() as association, caplog.at_level(logging.INFO):
        assert 0xA700 == association.send_c_store(film()).Status

    assert "no space left on device" in caplog.text
    assert "secret" not in caplog.text


def test_more_associations_than_the_limit_are_rejected_for_now(start):
    """The limit of an address holds for a caller that opens too many."""
    receiver = start(per_address=2)
    with receiver.association() as one, receiver.association() as two, receiver.association() as three:
        assert [True, True, False] == [a.is_established for a in (one, two, three)]
        assert (2, 3, 2) == rejection(three)
    wait_for(lambda: receiver.associations.count() == 0)
    with receiver.association() as again:
        assert again.is_established


def test_an_open_association_holds_the_studies_that_it_brought(receiver):
    """A study is not over while its sender is still there."""
    with receiver.association() as association:
        association.send_c_store(film())
        association.send_c_store(film(2, study="1.2.9"))
        assert {("pacs-north", "1.2.3"), ("pacs-north", "1.2.9")} == receiver.associations.carrying()
    wait_for(lambda: not receiver.associations.carrying())


def test_the_log_has_no_word_of_a_film(receiver, caplog):
    """Pynetdicom would write requests and data sets."""
    with caplog.at_level(logging.DEBUG), receiver.association() as association:
        association.send_c_store(film())
        with receiver.association(called="NOBODY"):
            pass
        logged = [record.getMessage() for record in caplog.records]

    assert ["an association from PACS1 was rejected: unknown_called"] == logged
    assert 3 == len(DOORS)
