"""The receiver is killed while a real sender sends, and the database and Redis go: nothing acknowledged is lost."""

import os
import random
import threading
import time

from deployment import Deployment
from hospital_peers import DCMSEND, declare, need, send, write_films
from sqlalchemy import text

#: In CI a dose; the issue's number is 10,000 films and 50 kills.
FILMS = int(os.environ.get("THORAQ_TEST_RECEIVER_FILMS", "300"))
KILLS = int(os.environ.get("THORAQ_TEST_RECEIVER_KILLS", "6"))


def arrived(deployment):
    """Return how often each SOP Instance UID stands among the arrivals, and among the images."""
    with deployment.database() as connection:
        arrivals = dict(connection.execute(text("SELECT sop_instance_uid, count(*) FROM arrivals GROUP BY 1")).all())
        images = dict(connection.execute(text("SELECT sop_instance_uid, count(*) FROM images GROUP BY 1")).all())
    return arrivals, images


def spool_is_empty(deployment):
    return not [path for path in (deployment.directory / "spool").iterdir() if path.is_file()]


def send_all(port, files, report, answered, rounds=100):
    """Send what has no answer yet, again and again, as a PACS would."""
    for attempt in range(rounds):
        missing = [file for uid, file in files.items() if uid not in answered]
        if not missing:
            return
        for begin in range(0, len(missing), 1000):
            found = send(port, *missing[begin : begin + 1000], report=report)
            answered |= {uid for uid, status in found.items() if status == "0x0000"}
        time.sleep(min(1, 0.1 * attempt))
    raise AssertionError(f"{len(files) - len(answered)} films were never answered")


def test_a_killed_receiver_loses_nothing_that_it_answered(deployment, tmp_path):
    """Each film is in the ledger once, however often its sender had to repeat it."""
    need(DCMSEND)
    files = write_films(tmp_path / "films", FILMS)
    port = declare(deployment, tmp_path)
    deployment.environment["THORAQ_DOORS"] = deployment.environment["THORAQ_DOORS"].replace(
        '"silence_seconds": 3', '"silence_seconds": 300'
    )
    deployment.start("receiver")
    answered: set[str] = set()
    sender = threading.Thread(target=send_all, args=(port, files, tmp_path / "report", answered))
    sender.start()
    kills = 0
    while sender.is_alive() and kills < KILLS:
        time.sleep(random.Random(kills).uniform(0.5, 3))
        deployment.processes["receiver"].kill()
        deployment.processes["receiver"].wait()
        kills += 1
        deployment.start("receiver")
    sender.join(600)

    assert FILMS == len(answered)
    assert kills >= 2
    deployment.wait_for(lambda: spool_is_empty(deployment), "the spool to be empty", 300)
    arrivals, images = arrived(deployment)
    assert dict.fromkeys(files, 1) == arrivals == images


def test_films_arrive_while_database_and_redis_are_out(private_postgres, redis_server, tmp_path):
    """The spool grows meanwhile, and senders notice nothing."""
    need(DCMSEND)
    files = write_films(tmp_path / "films", 40)
    (tmp_path / "thoraq").mkdir()
    deployment = Deployment(tmp_path / "thoraq", broker_url=redis_server.url, THORAQ_DATABASE_URL=private_postgres.url)
    try:
        deployment.thoraq("db", "upgrade")
        port = declare(deployment, tmp_path)
        deployment.start("receiver")
        private_postgres.stop()
        redis_server.kill()

        answers = send(port, *files.values(), report=tmp_path / "report")
        assert dict.fromkeys(files, "0x0000") == answers
        assert 40 == len(list((tmp_path / "thoraq" / "spool").iterdir()))

        private_postgres.start()
        redis_server.start()
        deployment.wait_for(lambda: spool_is_empty(deployment), "the spool to be empty", 120)
        arrivals, images = arrived(deployment)
        assert dict.fromkeys(files, 1) == arrivals == images
    finally:
        deployment.stop()
