"""Sends what is due: for each destination one association, and in it each object that is owed, one after the other."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from pydicom import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from worker.database import reading, through_outages, transaction
from worker.errors import NotConfigured, UnreadableDocument
from worker.hospital import exports
from worker.hospital.dicom_store import Unavailable, open_association
from worker.hospital.exports import Claim
from worker.hospital.identity import Identity
from worker.hospital.object_header import ObjectIds, StoredObject, uid_of
from worker.hospital.report_document import report_document
from worker.hospital.study_results import NothingToSend, NotReady, read_study, shown_film
from worker.hospital.summary_picture import summary_picture
from worker.hospital.verdicts import Answer, Verdict, refused, rest
from worker.hospital.web_store import open_web
from worker.settings import Settings
from worker.settings.destinations import Destination, DicomDestination

logger = logging.getLogger(__name__)

#: What highdicom and pydicom raise for content that they cannot write, and a report of a model that cannot be read.
FAULTS = (ValueError, TypeError, KeyError, AttributeError, UnreadableDocument)


class Channel(Protocol):
    """A way to an archive, which is open."""

    def report_class(self) -> UID | None:
        """Return the class of reports that the archive takes; None if it takes none."""

    def send(self, dataset: Dataset) -> Answer:
        """Send one object and return the verdict on the answer."""


@dataclass(frozen=True)
class Sender:
    """What is needed to send results."""

    settings: Settings
    #: Opens a sealed identity, or raises `IdentityGone` of `worker.hospital.unsealing`, a `ScoringError`.
    open_identity: Callable[[bytes], Identity]
    #: The error of `open_identity`.
    gone: type[Exception]
    #: Names this installation.
    device_uid: str

    def send_due(self, on_turn: Callable[[], None] = lambda: None, stops: Callable[[], bool] = lambda: False) -> int:
        """Send what is due; return how many objects arrived. A destination that fails is left for later.

        Args:
            on_turn: called after each attempt.
            stops: whether no further attempt is to begin.
        """
        with reading() as session:
            due = exports.due(session)
        return sum(self._send_to(destination, ids, on_turn, stops) for destination, ids in due.items())

    def _send_to(
        self, destination: str, export_ids: list[int], on_turn: Callable[[], None], stops: Callable[[], bool]
    ) -> int:
        """Send exports in order, until one of them says that the destination is in trouble."""
        configured = self.settings.destinations.get(destination)
        sent = 0
        with ExitStack() as stack:

            @cache
            def channel() -> Channel:
                if configured is None:
                    raise Unavailable(rest("not_configured"))
                return stack.enter_context(_open(configured))

            for export_id in export_ids:
                if stops():
                    break
                answer = self._send(channel, export_id)
                on_turn()
                if answer is not None:
                    sent += answer.verdict == Verdict.SENT
                    if answer.concerns_destination:
                        break
        return sent

    def _send(self, channel: Callable[[], Channel], export_id: int) -> Answer | None:
        """Claim, make and send one object, and record the answer; return None if it was not tried."""
        claim = _claim(export_id)
        if claim is None:
            return None
        sent = None
        try:
            dataset = self._make(channel, claim)
            answer = channel().send(dataset)
            if answer.verdict == Verdict.SENT:
                sent = StoredObject(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID)
        except NotReady:
            _not_ready(export_id)
            return None
        except Unavailable as error:
            answer = error.answer
        except NothingToSend as error:
            answer = refused(error.code)
        except NotConfigured as error:
            logger.error("%s", error)  # noqa: TRY400 - the message says it all
            answer = rest("not_configured")
        except self.gone:
            answer = refused("identity_gone")
        except FAULTS as error:  # A result that cannot be written must not stop those of others.
            logger.exception("export %d cannot be made", export_id)
            answer = refused(f"cannot_be_made_{type(error).__name__}")
        _record(export_id, answer, sent)
        return answer

    def _make(self, channel: Callable[[], Channel], claim: Claim) -> Dataset:
        """Return the object of an export.

        Raises:
            Unavailable: there is no channel, or it takes no reports.
        """
        sop_class = SecondaryCaptureImageStorage if claim.kind == "picture" else channel().report_class()
        if sop_class is None:
            raise Unavailable(refused("context_not_accepted"))
        ids = ObjectIds(uid_of(claim.key, sop_class), claim.series_uid, self.device_uid, claim.predecessor)
        with reading() as session:
            study = read_study(session, claim.part_id, self.open_identity, self.settings)
            if claim.kind != "picture":
                return report_document(study, ids, self.settings.finding_codes, sop_class)
            shown = shown_film(session, claim.part_id, self.settings, claim.owed_since)
        return summary_picture(study, shown, ids)


@contextmanager
def _open(destination: Destination) -> Iterator[Channel]:
    opened: AbstractContextManager[Channel] = (
        open_association(destination) if isinstance(destination, DicomDestination) else open_web(destination)
    )
    with opened as channel:
        yield channel


@through_outages
def _claim(export_id: int) -> Claim | None:
    with transaction() as session:
        return exports.claim(session, export_id)


@through_outages
def _record(export_id: int, answer: Answer, sent: StoredObject | None = None) -> None:
    with transaction() as session:
        exports.record(session, export_id, answer, sent)


@through_outages
def _not_ready(export_id: int) -> None:
    with transaction() as session:
        exports.not_ready(session, export_id)
