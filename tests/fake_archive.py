"""An archive on this machine that answers what a test says: a pynetdicom server, or DICOMweb over HTTP."""

import json
import threading
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt

EVERY_CLASS = (Comprehensive3DSRStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage)


class FakeArchive:
    """Takes objects by C-STORE; records each, and how often an association was opened."""

    def __init__(self, *, port=0, classes=EVERY_CLASS, title="PACS1", tls=None):
        self.objects, self.requests, self.associations = [], 0, 0
        #: The status of each answer; a function that gets the event may answer, too. None aborts.
        self.status = 0x0000
        #: (result, source, reason) of a rejection.
        self.rejection = None
        entity = AE(title)
        entity.require_called_aet = True
        for sop_class in classes:
            entity.add_supported_context(sop_class)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls)
        self.port = self._server.socket.getsockname()[1]

    def destination(self, **changes):
        """Return its entry in `THORAQ_DESTINATIONS`."""
        return {"kind": "dicom", "host": "127.0.0.1", "port": self.port, "called": "PACS1", **changes}

    def stop(self):
        self._server.shutdown()

    def _requested(self, event):
        self.associations += 1
        if self.rejection:
            event.assoc.acse.send_reject(*self.rejection)
            event.assoc.kill()

    def _store(self, event):
        self.requests += 1
        if self.status is None:
            event.assoc.abort()
            return 0x0000
        if self.status == 0x0000 or self.status >> 12 == 0xB:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            self.objects.append(dataset)
        return self.status


class FakeDicomWeb(ThreadingHTTPServer):
    """Takes objects by STOW-RS; records headers and objects."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.answer, self.objects, self.headers_seen = 200, {"00081198": {"vr": "SQ"}}, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()

    def destination(self, **changes):
        return {"kind": "stow", "url": f"http://127.0.0.1:{self.server_port}/dicom-web/", **changes}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body, policy=HTTP).get_payload()
        self.server.headers_seen.append({"path": self.path, **self.headers})
        self.server.objects += [dcmread(BytesIO(part.get_payload(decode=True))) for part in parts]
        answer = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass
