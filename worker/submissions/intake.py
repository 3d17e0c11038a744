"""Accepts studies: checks, stores rows, commits, wakes scorers. The message, HTTP and the command line all use it.

A study is accepted when its rows are committed. The worker finds out later whether its file exists and is a film.
"""

import hashlib
import itertools
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias

from pydantic import BaseModel, ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tenacity import retry, retry_if_exception, stop_after_attempt

from worker import wakeups
from worker.database import is_outage, now, through_outages, transaction
from worker.errors import RefusedSubmission, RejectedImage
from worker.films import archive
from worker.films.uploads import Upload
from worker.inputs.printable import printable
from worker.settings import ARCHIVE, settings
from worker.studies import worklist_order
from worker.studies.records import Image, Priority, Refusal, Study, Submission
from worker.submissions.envelope import SCHEMA, Envelope, Item, explain, parse

logger = logging.getLogger(__name__)

#: Rows are built for so many studies at once, since each takes 10 KB in memory until it is stored.
STUDIES_AT_ONCE = 500

Repeat: TypeAlias = "Callable[[Callable[..., Acceptance]], Callable[..., Acceptance]]"
#: One more try where somebody waits for the answer: enough to find what was committed when its answer was lost.
TWICE: Repeat = retry(retry=retry_if_exception(is_outage), stop=stop_after_attempt(2), reraise=True)


class Refused(BaseModel):
    """An item that was refused, and why."""

    index: int
    reference: str | None = None
    reason: str
    detail: str


class Acceptance(BaseModel):
    """The answer to a submission."""

    submission_id: str
    source: str
    request_id: str
    #: Whether this key and content were accepted before. If so, the other fields are those of the first time.
    repeated: bool
    accepted: int
    refused: list[Refused]


def accept(message: object) -> Acceptance:
    """Accept an envelope whose items refer to files under named roots.

    Raises:
        RefusedSubmission: the envelope is invalid, has another major version, or reuses a key for other content.
    """
    envelope = parse(message)
    return _store(envelope, frozenset(settings().image_roots), envelope.digest(), TWICE)


def submit_files(  # noqa: PLR0913 - the fields of an envelope
    files: Iterable[tuple[str, bytes | BinaryIO]],
    *,
    source: str,
    request_id: str | None,
    priority: Priority,
    identifiers: Sequence[Mapping[str, object]] = (),
    callback: str | None = None,
) -> Acceptance:
    """Accept films by their bytes, which are stored in the archive under their SHA-256.

    A DICOM file is stored without what identifies a patient, and the SHA-256 is that of the stored file. Whether a
    request repeats an earlier one is told by the files as they were sent. A film without a study UID is a study by
    itself.

    Args:
        files: the name of each film, and its bytes or its open file; read one by one.
        source: the sender.
        request_id: the sender's key; None means a new random one.
        priority: the priority of all films.
        identifiers: the fields of an `Item` except `image`, for each film in order; empty means none.
        callback: the name of the endpoint to notify when all films are finished.

    Raises:
        RefusedSubmission: there is no file, the numbers of files and identifiers differ, the endpoint is not
            configured, or the key was used with other content.
        NotStored: the archive is full, read-only or broken.
    """
    items, stored = _archived(files)
    if identifiers and len(identifiers) != len(items):
        raise RefusedSubmission("invalid", "items: there must be one object for each film")
    for item, fields in zip(items, identifiers, strict=False):
        item |= {name: value for name, value in fields.items() if name != "image"}
    message = {
        "schema": SCHEMA,
        "schema_version": "1.0",
        "source": source,
        "request_id": request_id or uuid.uuid4().hex,
        "priority": priority.name.lower(),
        "items": items,
        "callback": {"endpoint": callback} if callback else None,
    }
    digest = parse(message).digest()
    for item, image in zip(items, stored, strict=True):
        item["image"] = image
    return _store(parse(message), frozenset({ARCHIVE}), digest, TWICE)


def _archived(files: Iterable[tuple[str, bytes | BinaryIO]]) -> tuple[list[dict[str, object]], list[dict[str, str]]]:
    """Store films, and return their items with each file as it was sent, and where each stored file lies."""
    items: list[dict[str, object]] = []
    stored: list[dict[str, str]] = []
    for name, film in files:
        upload = Upload(film)
        stored.append(_in_archive(*upload.store(settings().archive_dir, settings().max_file_bytes)))
        # Senders rarely choose their file names, so an unprintable character is replaced instead of refused.
        items.append({"reference": printable(name)[-512:], "image": _in_archive(*archive.place(upload))})
    return items, stored


def _in_archive(path: str, sha256: str) -> dict[str, str]:
    return {"root": ARCHIVE, "path": path, "sha256": sha256}


def arrive(session: Session, items: Sequence[Item], *, source: str, rank: Priority, request_id: str) -> list[Image]:
    """Add films of one study to the open submission with this key, which is made if there is none.

    For films that arrive one by one. The caller commits, wakes scorers, and closes the submission (`ledger.close`).

    Args:
        session: in a transaction.
        items: films in the archive, all of one study; at least one.
        source: the sender.
        rank: the priority of a new submission.
        request_id: names the submission among those of the sender.

    Returns:
        The image of each item.
    """
    submission = session.scalar(
        select(Submission).where(
            Submission.source == source, Submission.request_id == request_id, Submission.open.is_(True)
        )
    )
    if submission is None:
        submission = Submission(
            id=uuid.uuid4().hex,
            source=source,
            request_id=request_id,
            content_sha256=hashlib.sha256(request_id.encode()).hexdigest(),
            priority=rank,
            refused=[],
            extra={},
            open=True,
        )
        session.add(submission)
        session.flush()
        (study,) = _studies(list(items), submission)
        session.add(study)
        images = list(study.images)
    else:
        images = [_image(item, rank) for item in items]
        submission.studies[0].images.extend(images)
    session.flush()
    return images


def receive(message: object) -> None:
    """Accept an envelope from a Celery message, or store why it was refused, since a message gets no answer.

    For the same reason, this function waits for the database during an outage; `accept` and `submit_files` fail.
    """
    try:
        envelope = parse(message)
        acceptance = _store(envelope, frozenset(settings().image_roots), envelope.digest(), through_outages)
    except RefusedSubmission as error:
        logger.warning("a message was refused: %s", error.code)
        store_refusal(message, error)
    else:
        submission_id, counts = acceptance.submission_id, (acceptance.accepted, len(acceptance.refused))
        extra = {"submission_id": submission_id}
        logger.info("submission %s: %d accepted, %d refused", submission_id, *counts, extra=extra)


def _store(envelope: Envelope, roots: frozenset[str], digest: str, again: Repeat) -> Acceptance:
    """Write the rows of a submission in one transaction, then wake scorers.

    Args:
        envelope: the request.
        roots: the names of the roots that it may refer to.
        digest: tells a repeated request from another one with the same key.
        again: how often it is tried while the database does not answer. If the rows were committed and the answer was
            lost, the next try finds them under this submission's id.
    """
    _check_callback(envelope)
    submission_id = uuid.uuid4().hex
    try:
        acceptance = again(_insert)(envelope, roots, digest, submission_id)
    except IntegrityError:  # Another process has just committed the same key; return its answer.
        acceptance = again(_insert)(envelope, roots, digest, submission_id)
    if acceptance.accepted and not acceptance.repeated:
        wakeups.wake_scorers(acceptance.accepted, settings().batch_size)
    return acceptance


def _check_callback(envelope: Envelope) -> None:
    """Refuse an endpoint that is not configured for this source, which must not receive its results.

    Raises:
        RefusedSubmission: unknown_callback.
    """
    if envelope.callback is None:
        return
    endpoint = settings().callbacks.get(envelope.callback.endpoint)
    if endpoint is None or (endpoint.sources is not None and envelope.source not in endpoint.sources):
        raise RefusedSubmission("unknown_callback", "callback.endpoint: no such endpoint is configured for this source")


def _insert(envelope: Envelope, roots: frozenset[str], digest: str, submission_id: str) -> Acceptance:
    with transaction() as session:
        earlier = session.scalar(
            select(Submission).where(Submission.source == envelope.source, Submission.request_id == envelope.request_id)
        )
        if earlier is not None:
            if earlier.content_sha256 != digest:
                raise RefusedSubmission("conflict", "this source used this request_id before, with other content")
            return _answer(session, earlier, repeated=earlier.id != submission_id)
        items, refused = _sort(envelope.raw_items(), roots)
        submission = Submission(
            id=submission_id,
            source=envelope.source,
            request_id=envelope.request_id,
            content_sha256=digest,
            priority=envelope.rank(),
            refused=[entry.model_dump() for entry in refused],
            extra=envelope.unknown_fields(),
            callback=envelope.callback.endpoint if envelope.callback else None,
            callback_due=True if envelope.callback else None,
        )
        session.add(submission)
        session.flush()
        studies = _studies(items, submission)
        while part := list(itertools.islice(studies, STUDIES_AT_ONCE)):
            session.add_all(part)
            session.flush()
            session.expunge_all()
        return _answer(session, submission, repeated=False)


def _answer(session: Session, submission: Submission, *, repeated: bool) -> Acceptance:
    images = select(func.count()).select_from(Image).join(Image.study).where(Study.submission_id == submission.id)
    return Acceptance(
        submission_id=submission.id,
        source=submission.source,
        request_id=submission.request_id,
        repeated=repeated,
        accepted=session.scalar(images) or 0,
        refused=[Refused.model_validate(entry) for entry in submission.refused],
    )


def _sort(raw_items: list[dict[str, Any]], roots: frozenset[str]) -> tuple[list[Item], list[Refused]]:
    """Divide the items into valid ones and refused ones; a refused item has no effect on the others."""
    items, refused = [], []
    for index, raw in enumerate(raw_items):
        try:
            item = Item.model_validate(raw)
            if item.image.root not in roots:
                raise RefusedSubmission("unknown_root", "the image's root is not configured here")
            archive.check_path(item.image.path)
            items.append(item)
        except ValidationError as error:
            refused.append(_refusal(index, raw, "invalid", explain(error)))
        except RefusedSubmission as error:
            refused.append(_refusal(index, raw, error.code, error.detail))
        except RejectedImage as error:
            refused.append(_refusal(index, raw, error.reason, error.detail))
    return items, refused


def _refusal(index: int, raw: dict[str, Any], reason: str, detail: str) -> Refused:
    reference = raw.get("reference")
    return Refused(
        index=index, reference=reference if isinstance(reference, str) else None, reason=reason, detail=detail
    )


def _studies(items: list[Item], submission: Submission) -> Iterator[Study]:
    """Yield the studies of a submission: items with the same UID form one study; an item without a UID is a study."""
    by_study: dict[str, list[Item]] = {}
    for index, item in enumerate(items):
        by_study.setdefault(item.study_instance_uid or f"item {index}", []).append(item)
    received_at, rank = now(), Priority(submission.priority)
    for of_study in by_study.values():
        first = of_study[0]
        yield Study(
            submission_id=submission.id,
            study_instance_uid=first.study_instance_uid,
            accession_number=first.accession.number if first.accession else None,
            accession_issuer=first.accession.issuer if first.accession else None,
            patient_key=first.patient_key,
            source=submission.source,
            received_at=received_at,
            due_at=worklist_order.due_at(received_at, rank, {}),
            images=[_image(item, rank) for item in of_study],
        )


def _image(item: Item, rank: Priority) -> Image:
    return Image(
        series_instance_uid=item.series_instance_uid,
        sop_instance_uid=item.sop_instance_uid,
        reference=item.reference,
        root=item.image.root,
        path=item.image.path,
        sha256=item.image.sha256,
        priority=rank,
    )


@through_outages
def store_refusal(message: object, error: RefusedSubmission) -> None:
    """Store why a message was refused, with its source and request id if it has them."""
    fields = message if isinstance(message, dict) else {}
    source, request_id = (
        printable(value)[:length] if isinstance(value := fields.get(name), str) else None
        for name, length in (("source", 64), ("request_id", 128))
    )
    with transaction() as session:
        session.add(Refusal(source=source, request_id=request_id, code=error.code, detail=error.detail[:512]))
