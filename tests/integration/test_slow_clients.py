"""The dashboard as a real server: clients that do nothing, or nothing sensible, cost no thread and little memory."""

import base64
import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
from dashboard_server import BASIC, Server

from dashboard.serving.connections import MAX_CONNECTIONS

#: More than the dashboard's threads.
CLIENTS = 64
MEMORY_MB = 300
MULTIPART = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="films"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests that leave it as it was."""
    server = Server(tmp_path_factory.mktemp("thoraq"))
    try:
        yield server.wait()
    finally:
        server.stop()


@contextmanager
def clients(server: Server, first: bytes, count: int = CLIENTS):
    """Connections that have sent these bytes."""
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(count)]
        for connection in connections:
            connection.sendall(first)
        yield connections


@contextmanager
def dripping(connections: list[socket.socket]):
    """Send a byte a second on each connection meanwhile."""
    end = threading.Event()

    def drip():
        while not end.wait(1):
            for connection in connections:
                with suppress(OSError):
                    connection.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: a\r\nX: ",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["nothing", "half of the headers", "half of a body", "half of a chunk", "one request, and nothing after it"],
)
def test_clients_that_send_a_byte_a_second_cost_no_thread(server, first):
    """There are more of them than threads."""
    with clients(server, first) as connections, dripping(connections if first else []):
        server.assert_prompt()
        time.sleep(3)
        server.assert_prompt()


def test_clients_that_read_nothing_cost_no_thread(server):
    """The answer is larger than what the kernel keeps for a connection."""
    ask = b"GET /bootstrap/static/css/bootstrap.css HTTP/1.1\r\nHost: a\r\n\r\n" * 20
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.connect((server.host, server.port))
            reader.sendall(ask)
        time.sleep(1)
        server.assert_prompt()


def test_more_connections_than_are_kept_do_not_keep_anybody_out(server):
    """Those that wait longest are closed."""
    with clients(server, b"", MAX_CONNECTIONS) as first, clients(server, b"", 50):
        server.assert_prompt()
        first[0].settimeout(10)
        assert first[0].recv(1) == b""


def test_health_checks_are_answered_while_every_thread_is_busy(tmp_path):
    """An upload that is being stored takes a thread."""
    server = Server(tmp_path, THORAQ_THREADS="1").wait()
    stored = []
    body = (FILE + b"x" * 20_000 + b"\r\n") * 900 + b"--b--\r\n"
    threads = [threading.Thread(target=lambda: stored.append(server.submit(body, MULTIPART))) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            server.assert_prompt()
        for thread in threads:
            thread.join()
        assert [(202, None)] * 3 == stored
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("request_line", "rest", "status"),
    [
        (b"Transfer-Encoding: chunked", b"zz\r\nabc\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked", b"5\r\nabcdefgh\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked", b"5;" + b"x" * 20_000, 400),
        (b"Transfer-Encoding: chunked", b"1" * 20_000, 400),
        (b"Transfer-Encoding: chunked", b"0\r\n" + b"x: y\r\n" * 5000, 400),
        (b"Transfer-Encoding: gzip", b"abc", 501),
        (b"Content-Length: 99999999999999", b"abc", 413),
        (b"Content-Length: 3, 3", b"abc", 400),
        (b"Content-Length: -1", b"abc", 400),
        (b"X: " + b"x" * 40_000, b"", 431),
    ],
)
def test_a_request_that_is_cut_wrong_gets_an_answer_and_no_traceback(server, request_line, rest, status):
    """400 for chunks that lie, 413 before anything is received; then the connection ends."""
    line = f"Authorization: {BASIC['Authorization']}\r\nContent-Type: application/json\r\n".encode()
    with server.connect() as connection:
        connection.sendall(
            b"POST /api/v1/submissions HTTP/1.1\r\nHost: a\r\n" + line + request_line + b"\r\n\r\n" + rest
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part

    assert str(status).encode() == answer.split()[1], answer
    if status in {400, 413} and b"problem+json" in answer:
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] in {"bad_request", "too_large"}
    assert "Traceback" not in server.log.read_text()


def test_chunks_that_break_off_end_with_their_connection(server):
    """Nothing is accepted, nothing is logged as an error, and nobody waits."""
    with server.connect() as connection:
        head = f"POST /api/v1/submissions HTTP/1.1\r\nHost: a\r\nAuthorization: {BASIC['Authorization']}\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n10\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    server.assert_prompt()
    assert "ERROR" not in server.log.read_text()


def test_chunks_that_are_whole_are_accepted(server):
    """Their length is not announced."""
    envelope = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs-north", "request_id": "chunked",
                "image": {"path": "a.png"}}  # fmt: skip
    parts = iter([json.dumps(envelope).encode()[:20], json.dumps(envelope).encode()[20:]])

    status, _ = server.submit(parts, "application/json")

    assert 202 == status


def test_an_upload_that_is_too_large_reads_its_answer_while_it_sends(server):
    """A person gets a page, a program a problem; neither finds a broken connection."""
    body = b"x" * (150 * 2**20)

    assert (413, "too_large") == server.submit(body, MULTIPART)
    status, page, headers = server.request("POST", "/login", body[: 2**20], Content_Type=MULTIPART)
    assert (413, "close") == (status, headers["Connection"])
    assert b"The upload is too large" in page


def test_whoever_sends_no_credentials_sends_no_films(server):
    """They are not received first and refused then."""
    assert (401, "unauthorized") == server.submit(b"x" * 50_000_000, MULTIPART, headers={})


def hostile_bodies():
    """Return name -> (body, content type, statuses)."""
    item = {"image": {"root": "images", "path": "p" * 1024}, "reference": "r" * 512, "patient_key": "k" * 128}
    head = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs-north", "request_id": "large"}
    largest = json.dumps(head | {"items": [item] * 10_000}).encode()
    valid = json.dumps(head | {"request_id": "values", "image": {"path": "a"}}).encode()
    syntax = b"1.2.840.10008.1.2.1\0"
    meta = bytes(128) + b"DICM\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    pixels = os.urandom(62_000_000)
    dicom = meta + b"\xe0\x7f\x10\x00OB\0\0" + len(pixels).to_bytes(4, "little") + pixels
    text, field = "application/json", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
    return {
        "13 million items": (b'{"items":[' + b"{}," * 13_000_000 + b"{}]}", text, {413}),
        "values": (valid[:-1] + b',"x":[' + b'{"a":1},' * 150_000 + b"{}]}", text, {202, 503}),
        "the largest envelope": (largest, text, {202, 503}),
        "a wide character": (
            valid.replace(b"values", b"wide")[:-1] + b',"x":"' + b"a" * 8_000_000 + b'\xf0\x9f\x98\x80"}',
            text,
            {202, 503},
        ),
        "small files": ((FILE + b"x" * 140_000 + b"\r\n") * 900 + b"--b--\r\n", MULTIPART, {202}),
        "fields": ((field + b"x" * 400_000 + b"\r\n") * 300 + b"--b--\r\n", MULTIPART, {413}),
        "large films": (FILE + dicom + b"\r\n" + FILE + dicom[:-1] + b"\r\n--b--\r\n", MULTIPART, {202}),
    }


def test_no_body_takes_much_memory(tmp_path):
    """Eight clients send each of them at once."""
    server = Server(tmp_path).wait()
    try:
        for name, (body, content_type, expected) in hostile_bodies().items():
            answers: list[int] = []
            threads = [
                threading.Thread(
                    target=lambda b, t, a: a.append(server.submit(b, t)[0]), args=(body, content_type, answers)
                )
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert 8 == len(answers), name
            assert set(answers) <= expected, (name, answers)
            assert min(expected) in answers, (name, answers)
            assert server.peak_mb() < MEMORY_MB, name
    finally:
        server.stop()


def test_a_server_that_stops_finishes_the_request_whose_headers_have_come(tmp_path):
    """Idle connections and half of a request's headers do not hold it up."""
    server = Server(tmp_path).wait()
    body = FILE + b"x" * 100_000 + b"\r\n--b--\r\n"
    head = (
        f"POST /api/v1/submissions HTTP/1.1\r\nHost: a\r\nAuthorization: {BASIC['Authorization']}\r\n"
        f"Content-Type: {MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        with clients(server, b"", 3), clients(server, b"GET / HT", 3), server.connect() as upload:
            upload.sendall(head.encode() + body[:1000])
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(2)
            upload.sendall(body[1000:])
            answer = b""
            while part := upload.recv(65536):
                answer += part
            assert b" 202 " in answer.splitlines()[0]
            assert b"Connection: close" in answer
            assert server.process.wait(15) == 0
    finally:
        server.stop()
    assert not list((tmp_path / "incoming").iterdir())


def test_several_processes_on_ipv6_serve_and_stop(tmp_path):
    """One that dies is replaced."""
    server = Server(tmp_path, "--host", "::1", THORAQ_DASHBOARD_PROCESSES="2")
    server.host = "::1"
    try:
        server.wait()
        processes = server.serving()
        assert 2 == len(processes)
        processes[0].kill()
        for _ in range(20):
            server.assert_prompt()
    finally:
        assert server.stop() < 15


def test_what_a_proxy_says_of_its_client_is_believed_where_that_is_set(tmp_path):
    """The address decides how often a log-in may fail."""
    server = Server(tmp_path, THORAQ_PROXY_HOPS="1").wait()
    wrong = {"Authorization": "Basic " + base64.b64encode(b"nobody:wrong password").decode()}
    try:
        for _ in range(15):
            status, _, _ = server.request("GET", "/api/v1/studies", X_Forwarded_For="10.0.0.1", **wrong)
        other, _, _ = server.request("GET", "/api/v1/studies", X_Forwarded_For="10.0.0.2", **BASIC)
    finally:
        server.stop()
    assert (429, 200) == (status, other)
