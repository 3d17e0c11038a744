"""A receiver inside this process, and senders that speak to it."""

import contextlib
import time

from dicom_films import dataset
from pynetdicom import AE
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation, Verification

from worker.hospital.associations import Associations
from worker.hospital.listener import Limits
from worker.hospital.reception import Reception
from worker.hospital.spool import Spool
from worker.settings.doors import Door

SITE_KEY = b"k" * 32
DOORS = {
    "THORAQ": Door(source="pacs-north", callers={"PACS1": ["127.0.0.1"]}),
    "URGENT": Door(source="pacs-north", priority="urgent", callers={"PACS1": []}, others="refuse", issuer="NORTH"),
    "ELSEWHERE": Door(source="pacs-south", callers={"PACS1": ["10.0.0.0/8"]}),
}


class Receiver:
    """Associations and a spool of this test alone; no porter."""

    def __init__(self, directory, *, doors=DOORS, certificate=None, tls=None, **limits):
        self.spool = Spool(directory, reserve_bytes=0, limit_bytes=10**9)
        self.reception = Reception(self.spool, site_key=SITE_KEY, certificate=certificate, max_bytes=2**24)
        limits = Limits(**({"per_address": 8, "pdu_bytes": 131072, "instance_bytes": 2**24} | limits))
        self.associations = Associations(doors, self.reception, self.spool, most=10, limits=limits)
        self.port = self.associations.start("127.0.0.1", 0, tls)

    @contextlib.contextmanager
    def association(self, *classes, called="THORAQ", calling="PACS1", syntaxes=None, tls=None):
        """Associate as a sender would."""
        entity = AE(calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        for sop_class in classes or (DigitalXRayImageStorageForPresentation, Verification):
            entity.add_requested_context(sop_class, syntaxes) if syntaxes else entity.add_requested_context(sop_class)
        association = entity.associate("127.0.0.1", self.port, ae_title=called, tls_args=(tls, None) if tls else None)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            if association.dul.socket and association.dul.socket.socket:  # pynetdicom leaves it open after an abort.
                association.dul.socket.socket.close()

    def spooled(self):
        return [self.spool.read(path) for path in self.spool.waiting()]


def film(number=1, study="1.2.3", **changes):
    """Return a film with a name."""
    named = {
        "SOPInstanceUID": f"1.2.3.{number}", "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.7",
        "PatientName": "Canarius^Vogel", "PatientID": "Canarius-4711", "AccessionNumber": "A1",
    }  # fmt: skip
    made = dataset(**named | changes)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
