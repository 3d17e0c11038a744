"""The headers of every response, and pages without anything that the content policy forbids."""

import io
from html.parser import HTMLParser

import pytest

from dashboard.accounts.accounts import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings

POLICY = (
    "default-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
PAGES = [
    "/studies",
    "/studies?finding=Pneumonia&state=scored",
    "/studies/1",
    "/studies/2",
    "/studies/3",
    "/upload",
    "/submissions/00000000000000000000000000000001",
    "/queue/",
    "/models/",
    "/models/v3-0123456789ab",
    "/training/",
    "/nothing-here",
]
REPORT = {
    "test": {
        "n": 10,
        "classes": ["A", "B"],
        "table": [[4, 1], [0, 5]],
        "overall": {"Accuracy": 0.9, "AccuracyLower": 0.5, "AccuracyUpper": 0.99, "McnemarPValue": None},
        "byClass": {"A": {"Sensitivity": 1.0, "Precision": None}, "B": {}},
        "auroc": {"A": 0.9, "B": 0.8, "macro": 0.85},
    },
    "history": [{"epoch": 1, "loss": 1.0, "val_loss": 1.1, "accuracy": 0.5, "val_accuracy": 0.4}],
}


class Inspector(HTMLParser):
    """Collects elements that the content policy forbids."""

    def __init__(self) -> None:
        """Begin without faults."""
        super().__init__()
        self.faults: list[str] = []
        self._script = False

    def handle_starttag(self, tag, attrs):
        """Check the attributes of an element."""
        attributes = dict(attrs)
        if tag == "style" or "style" in attributes:
            self.faults.append(f"<{tag}> has a style of its own")
        self.faults += [f"<{tag} {name}>" for name in attributes if name.startswith("on")]
        self._script = tag == "script"
        if self._script and not attributes.get("src", "").startswith("/"):
            self.faults.append("a script that is not a file of ours")
        for name in ("src", "href", "action"):
            value = attributes.get(name) or ""
            if "//" in value or value.startswith(("javascript:", "data:")):
                self.faults.append(f"<{tag} {name}={value}>")

    def handle_data(self, data):
        """Check for a program between script tags."""
        if self._script and data.strip():
            self.faults.append("a script inside the page")

    def handle_endtag(self, tag):
        """Note the end of a script."""
        self._script = False


def test_the_log_in_page_has_nothing_inline_or_foreign(client):
    """Everybody can see this page."""
    inspector = Inspector()

    inspector.feed(client.get("/login").text)

    assert [] == inspector.faults


@pytest.fixture
def full(rows, scores):
    """A database with rows for every page."""
    model = rows.model(report=REPORT)
    rows.study(scores(Pneumonia=0.9), scores(Effusions=0.8), model=model, accession_number="A1")
    rows.study("corrupt")
    rows.study(None)
    rows.process()


def test_no_page_has_anything_inline_or_foreign(client, auth, full):
    """Every script and style sheet is a file on our own host."""
    auth.login()
    for path in PAGES:
        answer = client.get(path)
        inspector = Inspector()
        inspector.feed(answer.text)

        assert [] == inspector.faults, path
        assert (404 if path == "/nothing-here" else 200) == answer.status_code, path


def test_every_answer_carries_the_headers(client, auth, full):
    """Errors and answers to programs have them, too."""
    auth.login()
    for path in [*PAGES, "/health/live", "/api/v1/submissions/1", "/static/thoraq.css"]:
        headers = client.get(path, buffered=True).headers

        assert set(POLICY) <= set(headers["Content-Security-Policy"].split("; ")), path
        assert "unsafe" not in headers["Content-Security-Policy"], path
        assert "nosniff" == headers["X-Content-Type-Options"], path
        assert "same-origin" == headers["Referrer-Policy"], path
        assert "DENY" == headers["X-Frame-Options"], path
        assert ("no-store" == headers["Cache-Control"]) == (path != "/static/thoraq.css"), path


@pytest.mark.parametrize(
    "path", ["/studies", "/studies/1", "/submissions/00000000000000000000000000000001", "/models/"]
)
def test_every_page_with_a_prediction_says_that_it_is_no_medical_device(client, auth, full, path):
    """The page has exactly this notice."""
    auth.login()

    assert "Research use only; not a medical device." in client.get(path).text


def test_the_style_sheets_come_from_our_own_host(client):
    """Bootstrap is served from its package."""
    assert 200 == client.get("/bootstrap/static/css/bootstrap.min.css", buffered=True).status_code
    assert "/bootstrap/static/css/bootstrap.min.css" in client.get("/login").text


def test_a_foreign_host_name_is_refused(database):
    """A request with a spoofed `Host` header gets no page."""
    app = create_app(DashboardSettings(mode="test", trusted_hosts=["thoraq.example"]))

    assert 200 == app.test_client().get("/login", base_url="http://thoraq.example").status_code
    assert 400 == app.test_client().get("/login", base_url="http://evil.example").status_code


def test_what_a_sender_wrote_is_escaped(client, auth, rows, scores):
    """References and accession numbers are not interpreted as markup."""
    model = rows.model()
    study = rows.study(scores(Pneumonia=0.9), model=model, accession_number="<script>alert(1)</script>")
    auth.login(Role.VIEWER)

    page = client.get(f"/studies/{study}").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_anonymous_upload_is_refused_before_its_body_is_read(client):
    """Only accounts that may upload can send large bodies."""
    answer = client.post("/upload", data={"films": (io.BytesIO(b"x"), "x")}, content_type="multipart/form-data")

    assert (303, "/login") == (answer.status_code, answer.location)
