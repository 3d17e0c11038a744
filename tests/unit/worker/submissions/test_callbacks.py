"""Callbacks: when an event is added, how it is signed, tried again and given up, and which addresses are refused."""

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import timedelta

import pytest
from cards import card
from pydantic import ValidationError
from receiver import KEY, SECRET, listening
from sqlalchemy import select, update

from worker import wakeups
from worker.database import now, reading, transaction
from worker.errors import Reason, RefusedSubmission
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.settings import Settings, settings
from worker.studies import ledger, rejected_films
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Priority
from worker.studies.rejected_films import Selection
from worker.submissions import callbacks, intake
from worker.submissions.callbacks import MAX_ATTEMPTS
from worker.submissions.records import Delivery


@pytest.fixture
def endpoint(database, monkeypatch):
    """A configured endpoint `ris` that listens."""
    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    with listening() as server:
        url = f"http://127.0.0.1:{server.server_port}/results"
        entry = {"url": url, "secret": SECRET, "sources": ["pacs"]}
        monkeypatch.setenv("THORAQ_CALLBACKS", json.dumps({"ris": entry}))
        settings.cache_clear()
        yield server


def submit(callback="ris", source="pacs"):
    return intake.submit_files(
        [("a.png", b"a"), ("b.png", b"b")],
        source=source, request_id=None, priority=Priority.ROUTINE, callback=callback,
    )  # fmt: skip


def finish():
    """Score the first film and reject the second."""
    with transaction() as session:
        if session.get(ModelVersion, 1) is None:
            session.add(ModelVersion(id=1, version="m-1", sha256="0" * 64, card=card(), report=Report()))
        claims = ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=9)
        record = [Rejected(claim.image_id, None, Reason.CORRUPT, "damaged") for claim in claims[1:]]
        ledger.record(session, "a", [Scored(claims[0].image_id, "1" * 64, {"Effusions": 1.0}), *record], 1)


def deliveries():
    with reading() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)))


def let_time_pass():
    with transaction() as session:
        session.execute(update(Delivery).where(Delivery.next_at.is_not(None)).values(next_at=now()))


def test_an_endpoint_is_called_once_when_the_last_film_is_finished(endpoint):
    """It is not called earlier, and not again."""
    acceptance = submit()
    assert 0 == callbacks.deliver_due()

    finish()
    assert 1 == callbacks.deliver_due()
    assert 0 == callbacks.deliver_due()

    body = json.loads(endpoint.bodies[0])
    assert ("cxr.submission.finished.v1", 1) == (body["type"], body["sequence"])
    assert (acceptance.submission_id, "pacs", acceptance.request_id) == tuple(
        body["data"][name] for name in ("submission_id", "source", "request_id")
    )
    assert {"waiting": 0, "scoring": 0, "scored": 1, "rejected": 1, "refused": 0} == body["data"]["counts"]
    first, second = body["data"]["outcomes"]
    assert ("a.png", "Effusions", "m-1") == (first["reference"], first["label"], first["model_version"])
    assert ("b.png", "corrupt", None) == (second["reference"], second["reason"], second["model_version"])


def test_the_signature_is_that_of_standard_webhooks(endpoint):
    """It is an HMAC-SHA256 over event id, time and body; a receiver can check the sender and detect replays."""
    submit()
    finish()
    callbacks.deliver_due()

    headers, body = endpoint.headers_seen[0], endpoint.bodies[0]
    signed = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" == headers["Webhook-Signature"]
    assert json.loads(body)["event_id"] == headers["Webhook-Id"]
    assert abs(int(headers["Webhook-Timestamp"]) - now().timestamp()) < 60


def test_a_failed_call_is_repeated_with_the_same_event_id_after_a_pause_that_doubles(endpoint):
    """The receiver can recognise a repeated event."""
    submit()
    finish()
    endpoint.status = 500
    pauses = []
    for _ in range(3):
        callbacks.deliver_due()
        pauses.append(round((deliveries()[0].next_at - now()).total_seconds(), -1))
        assert 0 == callbacks.deliver_due()
        let_time_pass()
    endpoint.status = 200
    callbacks.deliver_due()

    assert [30, 60, 120] == pauses
    assert 1 == len({headers["Webhook-Id"] for headers in endpoint.headers_seen})
    assert 4 == len(endpoint.bodies)
    assert (None, None) == (deliveries()[0].next_at, deliveries()[0].trouble)
    assert deliveries()[0].delivered_at is not None


def test_an_event_is_given_up_with_the_last_error(endpoint):
    """The error is in its row."""
    submit()
    finish()
    endpoint.status = 403
    callbacks.deliver_due()
    with transaction() as session:
        session.execute(update(Delivery).values(attempts=MAX_ATTEMPTS - 1, next_at=now()))

    callbacks.deliver_due()

    given_up = deliveries()[0]
    assert ("answered 403", None, None) == (given_up.trouble, given_up.next_at, given_up.delivered_at)
    assert given_up.given_up_at is not None


def test_no_redirect_is_followed(endpoint):
    """An endpoint cannot make Thoraq call another address."""
    submit()
    finish()
    endpoint.status = 307

    callbacks.deliver_due()

    assert 1 == len(endpoint.bodies)
    assert "answered 307" == deliveries()[0].trouble


def test_an_endpoint_that_fails_is_tried_once_a_round(endpoint):
    """A round does not wait for the same address twice."""
    for _ in range(2):
        submit()
        finish()
    endpoint.status = 500

    callbacks.deliver_due()

    assert 1 == len(endpoint.bodies)
    assert [1, 0] == [delivery.attempts for delivery in deliveries()]


def test_a_replay_sends_a_second_event(endpoint):
    """It has the next sequence number and follows the first event."""
    submit()
    finish()
    callbacks.deliver_due()
    with transaction() as session:
        assert 1 == rejected_films.replay(session, "test", Selection())
    assert 0 == callbacks.deliver_due()

    finish()
    callbacks.deliver_due()

    assert [1, 2] == [json.loads(body)["sequence"] for body in endpoint.bodies]
    assert 2 == json.loads(endpoint.bodies[1])["data"]["counts"]["scored"]


def test_a_later_event_waits_for_the_earlier_one(endpoint):
    """Events of a submission are in order."""
    submit()
    finish()
    endpoint.status = 500
    callbacks.deliver_due()
    with transaction() as session:
        rejected_films.replay(session, "test", Selection())
    finish()
    endpoint.status = 200

    assert 0 == callbacks.deliver_due()
    let_time_pass()
    assert 1 == callbacks.deliver_due()
    assert 1 == callbacks.deliver_due()
    assert [1, 1, 2] == [json.loads(body)["sequence"] for body in endpoint.bodies]


def test_a_delivery_whose_process_died_is_tried_again(endpoint):
    """It is due again when its lease ends."""
    submit()
    finish()
    with transaction() as session:
        callbacks.add_events(session)
    callbacks._claim(deliveries()[0].id, set())
    assert deliveries()[0].next_at > now() + timedelta(seconds=50)

    let_time_pass()

    assert 1 == callbacks.deliver_due()


@pytest.mark.parametrize(("callback", "source"), [("nowhere", "pacs"), ("ris", "another"), ("http://x/", "pacs")])
def test_an_endpoint_that_is_not_configured_for_the_source_is_refused(endpoint, callback, source):
    """A submission can only use configured names, never an address."""
    with pytest.raises(RefusedSubmission) as refused:
        submit(callback, source)

    assert "unknown_callback" == refused.value.code


@pytest.mark.parametrize(
    ("mode", "url", "secret"),
    [
        ("production", "http://ris.example/", SECRET),
        ("test", "file:///etc/passwd", SECRET),
        ("test", "http://ris.example/", "whsec_short"),
        ("test", "http://ris.example/", "password"),
    ],
)
def test_an_endpoint_without_tls_or_with_a_weak_secret_is_an_invalid_setting(mode, url, secret):
    """The mistake is found before any result is sent."""
    with pytest.raises(ValidationError) as refused:
        Settings(mode=mode, callbacks={"ris": {"url": url, "secret": secret}})

    assert "whsec_short" not in str(refused.value)


def test_an_endpoint_that_drips_is_called_once_and_left_before_its_lease_ends(database, monkeypatch):
    """Before, it held the courier for ever, its lease ended, and another process made the call again."""
    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    assert callbacks.LEASE_SECONDS > 2 * callbacks.TIMEOUT_SECONDS
    monkeypatch.setattr(callbacks, "TIMEOUT_SECONDS", 0.5)
    server, calls = socket.create_server(("127.0.0.1", 0)), []

    def drip() -> None:
        with contextlib.suppress(OSError):
            while True:  # until the server is closed
                caller, address = server.accept()
                calls.append(address)
                with caller:
                    for byte in b"HTTP/1.1 204 No Content\r\n" * 8:
                        time.sleep(0.1)
                        caller.sendall(bytes([byte]))

    dripping = threading.Thread(target=drip)
    dripping.start()
    entry = {"url": f"http://127.0.0.1:{server.getsockname()[1]}/results", "secret": SECRET}
    monkeypatch.setenv("THORAQ_CALLBACKS", json.dumps({"ris": entry}))
    settings.cache_clear()
    submit()
    finish()

    since = time.monotonic()
    assert 0 == callbacks.deliver_due()

    assert time.monotonic() - since < 10
    (delivery,) = deliveries()
    assert (1, 1, "no answer within 0.5 s") == (len(calls), delivery.attempts, delivery.trouble)
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    dripping.join()
