"""What a peer may cost that has not said who it is."""

import contextlib
import resource
import socket
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hospital_rig import film, wait_for
from pynetdicom.sop_class import Verification

#: Type, reserved byte and length of an A-ASSOCIATE-RQ that claims to have 4 GiB.
HUGE = struct.pack(">BBL", 1, 0, 0xFFFFFFFF)


def connect(receiver):
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=20)


def is_closed(connection):
    """Wait until the receiver closes a connection."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return True


def echoes(receiver):
    with receiver.association(Verification) as association:
        return association.is_established and 0 == association.send_c_echo().Status


def test_a_pdu_that_claims_four_gigabytes_is_not_read(start):
    """Pynetdicom alone would take whatever is sent."""
    receiver = start(acse_seconds=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with connect(receiver) as connection:
        connection.sendall(HUGE)
        assert is_closed(connection)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
    assert echoes(receiver)


def test_silent_connections_take_no_thread_and_no_place(start):
    """Two hundred of them from one address leave an echo its answer."""
    receiver = start(acse_seconds=2)
    threads = threading.active_count()
    silent = [connect(receiver) for _ in range(200)]

    begin = time.monotonic()
    assert echoes(receiver)
    assert time.monotonic() - begin < 2
    wait_for(lambda: threading.active_count() <= threads + 4)

    assert all(is_closed(connection) for connection in silent[:-8])
    for connection in silent:
        connection.close()


def test_a_silent_connection_is_closed_after_a_while(start):
    """Load balancers connect and say nothing."""
    receiver = start(acse_seconds=0.3)
    with connect(receiver) as connection:
        assert is_closed(connection)


def test_a_peer_that_drips_bytes_is_cut_off(start):
    """A byte now and then would hold a thread for ever."""
    receiver = start(acse_seconds=0.5)
    with connect(receiver) as connection:
        connection.sendall(b"\x01\x00\x00\x00\x01\x00")
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 20:
                connection.sendall(b"\0")
                time.sleep(0.1)
        except OSError:
            pass
    assert time.monotonic() - begin < 10
    assert echoes(receiver)


def test_speaking_connections_of_one_address_are_limited(start):
    """One byte is enough to leave the lobby."""
    receiver = start(per_address=2, acse_seconds=1)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(receiver)) for _ in range(2)]
        for _ in range(8):
            connections.append(stack.enter_context(connect(receiver)))
            connections[-1].sendall(b"\x01")
            time.sleep(0.05)
            assert sum("AcceptorThread" in thread.name for thread in threading.enumerate()) <= 4
        assert all(is_closed(connection) for connection in connections)
    wait_for(lambda: echoes(receiver))


def test_an_instance_is_not_larger_than_a_film_may_be(start):
    """What is more ends the association before it is in memory."""
    receiver = start(instance_bytes=40_000)
    with receiver.association() as association:
        assert not association.send_c_store(film())
        wait_for(lambda: not association.is_established)
    assert echoes(receiver)
    assert [] == receiver.spooled()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The files of a certificate authority with a certificate for 127.0.0.1, which serves both ends."""
    folder = tmp_path_factory.mktemp("tls")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "crt.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return folder


def context(authority, protocol, *, presents=True):
    made = ssl.SSLContext(protocol)
    if presents:
        made.load_cert_chain(authority / "crt.pem", authority / "key.pem")
    made.load_verify_locations(authority / "crt.pem")
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def test_tls_asks_for_a_certificate(start, authority):
    """A plain peer and one without a certificate are not served, and hold up nobody."""
    receiver = start(tls=context(authority, ssl.PROTOCOL_TLS_SERVER))

    with connect(receiver) as silent, connect(receiver) as plain:
        plain.sendall(HUGE)
        with receiver.association(tls=context(authority, ssl.PROTOCOL_TLS_CLIENT)) as association:
            assert 0 == association.send_c_store(film()).Status
        assert is_closed(plain)
        silent.close()
    with receiver.association(tls=context(authority, ssl.PROTOCOL_TLS_CLIENT, presents=False)) as association:
        assert not association.is_established
    assert 1 == len(receiver.spooled())
