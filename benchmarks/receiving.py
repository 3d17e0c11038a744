"""Measures how many films a second `thoraq receiver` takes by C-STORE, beside Orthanc, which takes the same films.

Both answer a film once it is on the disk (`SyncStorageArea` in Orthanc). `dcmsend` sends with `TCP_NODELAY=1`, by one
association or by several at once. The two take turns, and the medians are compared. Needs Debian's orthanc and dcmtk, a
redis-server, and a folder of DICOM films.

Example: python benchmarks/receiving.py FOLDER --films 200 --rounds 5
"""  # noqa: INP001 - a script, in no package

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import click
import psutil
from pydicom import dcmread
from pydicom.uid import generate_uid

from worker.decoding import decode
from worker.demo.embedded_redis import EmbeddedRedis, free_port
from worker.errors import RejectedImage
from worker.films.deidentification import is_dicom

DCMSEND, ORTHANC = "/usr/bin/dcmsend", "/usr/sbin/Orthanc"
PEER = {**os.environ, "TCP_NODELAY": "1"}
START_SECONDS = 60


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--films", default=200, help="Films of one round.")
@click.option("--rounds", default=5)
@click.option("--associations", multiple=True, type=int, default=[1, 4])
def main(folder: Path, films: int, rounds: int, associations: list[int]) -> None:
    """Print films per second as JSON: the medians for each receiver and number of associations, and their ratio."""
    good = [path.read_bytes() for path in sorted(folder.rglob("*.dcm")) if _is_scorable(path)]
    with tempfile.TemporaryDirectory(prefix="receiving-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        with EmbeddedRedis(work / "redis") as redis, _thoraq(work, redis.url) as ours, _orthanc(work) as theirs:
            ports = {"thoraq": ("THORAQ", ours), "orthanc": ("ORTHANC", theirs)}
            rates: dict[str, dict[int, list[float]]] = {
                name: {n: [] for n in associations} for name in (*ports, "in_ledger")
            }
            for turn in range(rounds + 1):
                for number in associations:
                    size = _write(good, work / "films", films)
                    for receiver, (title, port) in ports.items():
                        begin = time.perf_counter()
                        seconds = _send(work / "films", title, port, number)
                        _wait_for_empty(work / "thoraq" / "spool")
                        if not turn:  # The first round warms up.
                            continue
                        rates[receiver][number].append(films / seconds)
                        if receiver == "thoraq":
                            rates["in_ledger"][number].append(films / (time.perf_counter() - begin))
            memory = _memory()
    medians = {name: {n: statistics.median(found) for n, found in of.items()} for name, of in rates.items()}
    ratios = {n: medians["thoraq"][n] / medians["orthanc"][n] for n in associations}
    report = {"films": films, "megabytes": size / 1e6, "films_per_second": medians, "ratio": ratios, "all": rates}
    click.echo(json.dumps({**report, "receiver_megabytes": memory / 1e6}, indent=1))


def _write(good: list[bytes], target: Path, number: int) -> int:
    """Write films that a worker would score, each with new UIDs, in four folders; return their size in bytes."""
    shutil.rmtree(target, ignore_errors=True)
    for index in range(number):
        film = dcmread(BytesIO(good[index % len(good)]))
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        film.StudyInstanceUID, film.SeriesInstanceUID = generate_uid(), generate_uid()
        part = target / str(index % 4)
        part.mkdir(parents=True, exist_ok=True)
        film.save_as(part / f"{index}.dcm")
    return sum(path.stat().st_size for path in target.rglob("*.dcm"))


def _wait_for_empty(spool: Path) -> None:
    while any(path.is_file() for path in spool.iterdir()):
        time.sleep(0.02)


def _is_scorable(path: Path) -> bool:
    data = path.read_bytes()
    try:
        decode(data)
    except RejectedImage:
        return False
    return is_dicom(data)


def _send(films: Path, title: str, port: int, associations: int) -> float:
    """Send all films by a number of associations; return the seconds."""
    parts = sorted(films.iterdir())
    shares = [parts[index::associations] for index in range(associations)]
    command = [DCMSEND, "-aet", "BENCH", "-aec", title, "-dn", "-nh", "+sd", "+r", "127.0.0.1", str(port)]
    begin = time.perf_counter()
    senders = [
        subprocess.Popen([*command, *share], env=PEER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        for share in shares
    ]
    if any(code for code in [sender.wait() for sender in senders]):
        raise click.ClickException(f"{title} did not take every film")
    return time.perf_counter() - begin


@contextmanager
def _thoraq(work: Path, broker_url: str) -> Iterator[int]:
    """Run a receiver on SQLite; yield its port."""
    port, keys = free_port(), work / "keys"
    keys.mkdir()
    (keys / "pseudonym.key").write_bytes(os.urandom(32))
    subprocess.run(  # noqa: S603
        ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "2", "-subj", "/CN=bench",
         "-keyout", keys / "identity.key", "-out", keys / "identity.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    environment = {
        **os.environ, "THORAQ_DATA_DIR": str(work / "thoraq"), "THORAQ_BROKER_URL": broker_url,
        "THORAQ_DOORS": json.dumps({"THORAQ": {"source": "bench", "callers": {"BENCH": ["127.0.0.1"]}}}),
        "THORAQ_RECEIVER_PORT": str(port), "THORAQ_PSEUDONYM_KEY": str(keys / "pseudonym.key"),
        "THORAQ_IDENTITY_CERTIFICATE": str(keys / "identity.pem"),
    }  # fmt: skip
    thoraq = [sys.executable, "-m", "worker"]
    subprocess.run([*thoraq, "db", "upgrade"], env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with _running([*thoraq, "receiver"], environment, port, work / "thoraq.log"):
        yield port


@contextmanager
def _orthanc(work: Path) -> Iterator[int]:
    """Run Orthanc; yield its port."""
    port = free_port()
    folder = work / "orthanc"
    folder.mkdir()
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomAet": "ORTHANC", "DicomPort": port,
        "HttpServerEnabled": False, "SyncStorageArea": True, "OverwriteInstances": True,
        "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False,
    }  # fmt: skip
    (work / "orthanc.json").write_text(json.dumps(configuration))
    with _running([ORTHANC, str(work / "orthanc.json")], PEER, port, work / "orthanc.log"):
        yield port


@contextmanager
def _running(command: list[str], environment: dict[str, str], port: int, log: Path) -> Iterator[None]:
    if not shutil.which(command[0]):
        raise click.ClickException(f"{command[0]} is not on this machine")
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"{command[0]} does not listen: {log.read_text()[-500:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _memory() -> int:
    """Return the resident bytes of the receiver, which is a child of this process."""
    return sum(
        child.memory_info().rss for child in psutil.Process().children() if "receiver" in " ".join(child.cmdline())
    )


if __name__ == "__main__":
    main()
