"""The spool comes into the ledger, and parts are closed; nothing is doubled or lost on the way."""

import threading
from datetime import timedelta

import pytest
from hospital_rig import DOORS, SITE_KEY, film
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from worker import wakeups
from worker.database import now, reading, transaction
from worker.errors import NotStored
from worker.films import archive
from worker.hospital import parts, porter
from worker.hospital.porter import Porter
from worker.hospital.reception import Instance, Reception
from worker.hospital.records import Arrival, ArrivalPart
from worker.hospital.spool import Spool
from worker.settings import settings
from worker.storage import atomic_files
from worker.studies import ledger
from worker.studies.records import Image, Study, Submission
from worker.submissions import callbacks


class Rig:
    """A spool that is filled as a receiver would fill it, and a porter whose clock the test sets."""

    def __init__(self, monkeypatch):
        self.spool = Spool(settings().spool_dir, reserve_bytes=0, limit_bytes=10**9)
        self.carried = set()
        self.porter = Porter(self.spool, DOORS, settings(), lambda: self.carried)
        self.reception = Reception(self.spool, site_key=SITE_KEY, certificate=None, max_bytes=2**24)
        self._offset = timedelta()
        self.woken = []
        self.broker = True
        monkeypatch.setattr(porter, "now", lambda: now() + self._offset)
        monkeypatch.setattr(wakeups, "wake_scorers", lambda films, _size: self.woken.append(films) or self.broker)

    def send(self, number=1, called="THORAQ", **changes):
        made = film(number, **changes)
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, made)
        status, _ = self.reception.receive(
            Instance(
                called, DOORS[called], "PACS1", str(made.SOPClassUID), str(made.SOPInstanceUID),
                "1.2.840.10008.1.2.1", buffer.getvalue(),
            )
        )  # fmt: skip
        assert 0 == status

    def turn(self, later=0):
        self._offset += timedelta(seconds=later)
        self.porter.turn()


@pytest.fixture
def rig(database, monkeypatch):
    return Rig(monkeypatch)


def rows(table):
    with reading() as session:
        return list(session.scalars(select(table).order_by(table.id)))


def closed():
    return [(part.number, part.closed_by, part.incomplete) for part in rows(ArrivalPart)]


def test_films_of_a_study_are_one_study_that_waits_for_the_end(rig):
    """A worker is woken for each film at once; the result stays preliminary."""
    rig.send(1)
    rig.turn()
    rig.send(2)
    rig.send(1, study="1.2.9")
    rig.turn()

    assert [] == rig.spool.waiting()
    assert [1, 2] == rig.woken
    studies, submissions = rows(Study), rows(Submission)
    assert {"1.2.3", "1.2.9"} == {study.study_instance_uid for study in studies}
    assert {("pacs-north", "A1")} == {(study.source, study.accession_number) for study in studies}
    assert [True, True] == [submission.open for submission in submissions]
    images = rows(Image)
    assert [1, 1, 2] == sorted(image.study_id for image in images)
    for image in images:
        stored = archive.read(image.root, image.path, settings().roots, 10**9)
        assert b"Canarius" not in stored


def test_a_study_is_closed_by_silence_and_then_finished(rig):
    """A study whose films all have an outcome is not finished while more may come."""
    rig.send(1)
    rig.turn()
    with transaction() as session:
        ledger.withdraw(session, list(session.scalars(select(Image))), "test")
    assert ["waiting"] == [study.state for study in rows(Study)]

    rig.turn(later=19)
    assert [(1, None, False)] == closed()
    rig.turn(later=2)

    assert [(1, "silence", False)] == closed()
    assert [("rejected", True)] == [(study.state, study.finished_at is not None) for study in rows(Study)]
    assert [False] == [submission.open for submission in rows(Submission)]
    with transaction() as session:
        assert 0 == callbacks.add_events(session)


def test_each_film_begins_the_silence_anew(rig):
    """A slow sender is not cut off."""
    for number in range(4):
        rig.send(number + 1)
        rig.turn(later=15)

    assert [(1, None, False)] == closed()
    assert 4 == len(rows(Image))


def test_an_open_association_holds_its_study(rig):
    """Its sender may be reading from a tape; the maximum ends that, too."""
    rig.send(1)
    rig.turn()
    rig.carried.add(("pacs-north", "1.2.3"))

    rig.turn(later=100)
    assert [(1, None, False)] == closed()
    rig.turn(later=501)
    assert [(1, "maximum", True)] == closed()


def test_an_urgent_door_waits_less(rig):
    """The reader of an urgent study waits for the result."""
    rig.send(1, called="URGENT")
    rig.turn()
    rig.turn(later=6)

    assert [(1, "silence", False)] == closed()
    assert [0] == [image.priority for image in rows(Image)]


def test_a_late_film_makes_a_further_part_with_all_films(rig):
    """Its results replace the earlier ones, so they must say all that is known."""
    rig.send(1)
    rig.turn()
    rig.turn(later=21)
    rig.send(2)
    rig.turn()
    rig.turn(later=21)

    assert [(1, "silence", False), (2, "silence", False)] == closed()
    assert 2 == len(rows(Submission))
    assert [1, 2, 2] == [image.study_id for image in rows(Image)]
    assert [1, 2, 2] == [arrival.part_id for arrival in rows(Arrival)]
    assert ["1.2.3.1", "1.2.3.1", "1.2.3.2"] == [image.sop_instance_uid for image in rows(Image)]
    assert [1, 2] == rig.woken


def test_the_same_film_again_changes_nothing(rig):
    """Whether its part is open or closed."""
    for later in (0, 21, 0):
        rig.send(1)
        rig.turn()
        rig.turn(later=later)

    assert [(1, "silence", False)] == closed()
    assert 1 == len(rows(Image))
    assert [1] == rig.woken


def test_another_film_under_the_same_uid_replaces_it(rig):
    """The result is that of the film that the PACS has now."""
    rig.send(1)
    rig.turn()
    rig.send(1, WindowCenter=100, WindowWidth=200)
    rig.turn()

    assert [(1, "replaced", False), (2, None, False)] == closed()
    first, second = rows(Image)
    assert first.sha256 != second.sha256
    assert [False, True] == [part.closed_at is None for part in rows(ArrivalPart)]


def test_another_identity_of_the_same_film_is_a_change(rig):
    """A merged patient gets the result under the new number; while the part is open, its row is enough."""
    rig.send(1)
    rig.turn()
    rig.send(1, PatientID="Canarius-9")
    rig.turn()
    assert 1 == len(rows(Image))
    assert [(1, None, False)] == closed()

    rig.turn(later=21)
    rig.send(1, PatientID="Canarius-10")
    rig.turn()
    assert [(1, "silence", False), (2, None, False)] == closed()
    one, two = rows(Arrival)
    assert one.identity_mac != two.identity_mac
    assert 1 == len({image.sha256 for image in rows(Image)})


def test_an_object_that_is_no_film_is_counted(rig):
    """After the end it makes no further part: it may be our own result, which the PACS sends back."""
    rig.send(1)
    rig.send(2, SOPClassUID=CTImageStorage)
    rig.turn()
    rig.turn(later=21)
    rig.send(3, SOPClassUID=CTImageStorage)
    rig.turn()

    assert [(1, "silence", False)] == closed()
    assert [2] == [part.set_aside for part in rows(ArrivalPart)]
    assert [True, False, False] == [arrival.image_id is not None for arrival in rows(Arrival)]


def test_a_study_without_films_is_closed_without_a_submission(rig):
    """There is nothing to score and nothing to answer."""
    rig.send(1, SOPClassUID=CTImageStorage)
    rig.turn()
    rig.turn(later=21)

    assert [(1, "silence", False)] == closed()
    assert [] == rows(Submission)


def test_an_outage_of_the_database_loses_and_doubles_nothing(rig, monkeypatch):
    """A commit whose answer was lost is found the next time."""
    rig.send(1)
    rig.send(2)
    record = Porter._record

    def lost(self, loads):
        record(self, loads)
        raise OperationalError("COMMIT", {}, Exception("gone"))

    monkeypatch.setattr(Porter, "_record", lost)
    with pytest.raises(OperationalError):
        rig.turn()
    assert 2 == len(rig.spool.waiting())
    monkeypatch.setattr(Porter, "_record", record)
    rig.turn()

    assert [] == rig.spool.waiting()
    assert 2 == len(rows(Image))
    assert 1 == len(rows(Submission))


def test_a_full_archive_is_waited_for(rig, monkeypatch):
    """The film stays in the spool, where it is as safe."""
    rig.send(1)

    def full(*_):
        raise NotStored("the film cannot be stored", full=True)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "put", full)
        with pytest.raises(NotStored):
            rig.turn()
    rig.turn()
    assert 1 == len(rows(Image))


def test_the_porter_goes_on_after_trouble(rig, monkeypatch):
    """Trouble outside ends no thread."""
    monkeypatch.setattr(porter, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(porter, "TURN_SECONDS", 0.01)
    stopped, turns = threading.Event(), []

    def turn(_self):
        turns.append(1)
        if len(turns) == 3:
            stopped.set()
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(Porter, "turn", turn)
    rig.porter.run(stopped, lambda: None)

    assert 3 == len(turns)


def test_a_file_that_is_not_the_receivers_is_put_aside(rig, caplog):
    """It must not hold up the others."""
    (settings().spool_dir / "0000").write_bytes(b"{}\nrest")
    rig.send(1)
    damaged = rig.spool.waiting()[-1]
    rig.send(2)
    damaged.write_bytes(damaged.read_bytes()[:-5])

    rig.turn()

    assert [] == rig.spool.waiting()
    assert 2 == len(list((settings().spool_dir / "unreadable").iterdir()))
    assert 1 == len(rows(Image))
    assert 2 == caplog.text.count("put aside")


def test_half_written_files_are_removed_at_the_start(rig):
    """They were not answered, so their senders send them again."""
    half = settings().spool_dir / f"{atomic_files.STAGING}x"
    half.write_bytes(b"half")

    Spool(settings().spool_dir, reserve_bytes=0, limit_bytes=1)

    assert not half.exists()


def test_a_spool_is_full_by_its_size_and_by_its_disk(rig):
    """Both leave room for what else is on the disk."""
    assert not rig.spool.is_full()
    rig.send(1)

    assert Spool(settings().spool_dir, reserve_bytes=0, limit_bytes=1000).is_full()
    assert Spool(settings().spool_dir, reserve_bytes=2**60, limit_bytes=10**9).is_full()
    assert rig.spool.usage() == (1, rig.spool.waiting()[0].stat().st_size)


def test_a_broker_that_is_out_is_asked_again_later(rig, monkeypatch):
    """One wake-up for all that came meanwhile is enough."""
    rig.broker = False
    rig.send(1)
    rig.turn()
    rig.send(2)
    rig.turn()
    assert [1] == rig.woken

    rig.broker = True
    monkeypatch.setattr(rig.porter, "_no_wakeup_before", 0.0)
    rig.turn()
    assert [1, 2] == rig.woken


def test_parts_of_other_receivers_are_left_to_them(rig):
    """Only they know whether an association is open; the maximum holds for all."""
    rig.send(1)
    rig.turn()
    with transaction() as session:
        later = now() + timedelta(seconds=60)
        maximum = timedelta(seconds=600)
        assert [] == parts.due(session, later, doors=["OTHER"], carried=set(), maximum=maximum)
        assert 1 == len(parts.due(session, later, doors=["THORAQ"], carried=set(), maximum=maximum))
        assert 1 == len(parts.due(session, later + maximum, doors=["OTHER"], carried=set(), maximum=maximum))
