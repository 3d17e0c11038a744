"""Results that are owed to archives: parts of studies whose films are scored, and keys that open their identities."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

from cards import card
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image as Picture
from reported import FIGURES, POINTS, identity
from sqlalchemy import select, update

from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.films.archive import preview_path
from worker.hospital import exports
from worker.hospital.export_records import DestinationPause, Export
from worker.hospital.identity import read_certificate, seal
from worker.hospital.records import Arrival, ArrivalPart, ClosedBy
from worker.hospital.sending import Sender
from worker.hospital.unsealing import IdentityGone, read_key
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.settings import settings
from worker.studies import ledger
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Image, Priority
from worker.submissions import intake

SOURCE = "pacs-north"
VERSION = "efficientnet-0123456789ab"


@cache
def _key(_name: str):
    """Return a key, made once: making one takes a good part of a test's time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_keys(folder, host="thoraq"):
    """Write a certificate, for identities or of a host, and its key; return their paths."""
    key = _key("other" if folder.name == "other" else "")
    certificate = certificate_for(key, host)
    stem = "identity" if host == "thoraq" else "host"
    paths = folder / f"{stem}.pem", folder / f"{stem}.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def certificate_for(key, host="thoraq"):
    """Return a certificate of this key's holder, for identities or of a host, signed by the key itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "thoraq sender")])
    begin = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([_name_of(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name_of(host):
    return x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)


def variables(folder, destinations, doors_owe=None) -> dict[str, str]:
    """Return the settings of a sender with these destinations, all of which one door owes its results."""
    certificate, key = write_keys(folder)
    door = {"source": SOURCE, "callers": {"PACS1": ["127.0.0.1"]}, "results": doors_owe or list(destinations)}
    return {
        "THORAQ_DOORS": json.dumps({"THORAQ": door}),
        "THORAQ_DESTINATIONS": json.dumps(destinations),
        "THORAQ_IDENTITY_CERTIFICATE": str(certificate),
        "THORAQ_IDENTITY_KEY": str(key),
    }


def sender() -> Sender:
    """Return what the configured sender uses."""
    certificate = read_certificate(settings().identity_certificate)
    opener = read_key(settings().identity_key, certificate)
    return Sender(settings(), opener.open, IdentityGone, "2.25.1")


def add_part(*identities, number=1, owe=True, finish=True, film=None, certificate=None) -> int:
    """Add a closed part with these films; return its id. The first film is scored, and the others, too."""
    identities = identities or (identity(),)
    uid = identities[0].study_instance_uid.decode()
    acceptance = intake.submit_files(
        [(f"{index}.png", f"{uid} {number} {index}".encode()) for index, _ in enumerate(identities)],
        source=SOURCE,
        request_id=f"{uid}-{number}",
        priority=Priority.ROUTINE,
        identifiers=[{"study_instance_uid": uid}] * len(identities),
    )
    certificate = certificate or read_certificate(settings().identity_certificate)
    with transaction() as session:
        part = ArrivalPart(
            source=SOURCE, study_instance_uid=uid, number=number, door="THORAQ",
            submission_id=acceptance.submission_id, closes_at=now(), closed_at=now(), closed_by=ClosedBy.SILENCE,
        )  # fmt: skip
        session.add(part)
        session.flush()
        query = select(Image).join(Image.study).where(Image.study.has(submission_id=acceptance.submission_id))
        for image, one in zip(session.scalars(query.order_by(Image.id)).all(), identities, strict=True):
            image.sop_instance_uid = one.sop_instance_uid.decode()
            session.add(
                Arrival(
                    part_id=part.id, sop_instance_uid=one.sop_instance_uid.decode(),
                    sop_class_uid=one.sop_class_uid.decode(), film_sha256="0" * 64, image_id=image.id,
                    identity=seal(one, certificate), identity_mac="0" * 64, calling_ae="PACS1", received_at=now(),
                )
            )  # fmt: skip
        if owe:
            exports.owe(session, part)
        part_id = part.id
    if finish:
        score(film=film)
    return part_id


def score(figures=None, *, reject=(), film=None) -> None:
    """Score every waiting film, and store its preview; reject those whose index is in `reject`."""
    with transaction() as session:
        version = session.scalar(select(ModelVersion).where(ModelVersion.version == VERSION))
        if version is None:
            points = [
                {"class": name, "rule": point.rule, "threshold": point.threshold}
                for name in FIGURES
                for point in POINTS
            ]
            version = ModelVersion(
                version=VERSION, sha256="0" * 64, report=Report.model_validate({"operating_points": points}),
                card=card(version=VERSION, classes=list(FIGURES), network="efficientnet", trained_on="films"),
            )  # fmt: skip
            session.add(version)
            session.flush()
        claims = ledger.claim(session, "a", limit=99, lease_seconds=60, max_attempts=9)
        outcomes = [
            Rejected(claim.image_id, None, Reason.NOT_FRONTAL, "lateral")
            if index in reject
            else Scored(claim.image_id, f"{claim.image_id:064x}", figures or FIGURES)
            for index, claim in enumerate(claims)
        ]
        ledger.record(session, "a", outcomes, version.id)
    for claim in claims:
        path = preview_path(settings().previews_dir, f"{claim.image_id:064x}")
        path.parent.mkdir(parents=True, exist_ok=True)
        (film or Picture.new("L", (64, 48), 90)).save(path)


def all_exports() -> list[Export]:
    with reading() as session:
        return list(session.scalars(select(Export).order_by(Export.id)))


def pauses() -> dict[str, DestinationPause]:
    with reading() as session:
        return {row.destination: row for row in exports.pauses(session)}


def let_time_pass() -> None:
    """Let every pause and lease end."""
    with transaction() as session:
        session.execute(update(Export).where(Export.next_at.is_not(None)).values(next_at=now()))
        session.execute(update(DestinationPause).values(until=now()))
