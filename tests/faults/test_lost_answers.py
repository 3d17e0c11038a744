"""A worker whose answers to COMMIT are lost again and again scores every film, with one attempt each."""

from judging import attempts, copies, one_outcome_each, score_with_phantoms, scored
from sqlalchemy.engine import make_url
from tcp_proxy import proxy_to

FILMS = 400
LOST = 40


def test_no_film_waits_for_its_lease_and_none_is_charged(deployment, postgres_database, tmp_path):
    """The lease lasts longer than this test waits."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    with proxy_to(make_url(postgres_database).port) as proxy:
        proxied = make_url(postgres_database).set(port=proxy.port).render_as_string(hide_password=False)
        deployment.environment |= {"THORAQ_BATCH_SIZE": "4", "THORAQ_DATABASE_URL": proxied}
        deployment.start("worker")
        deployment.environment["THORAQ_DATABASE_URL"] = postgres_database
        for kind in ("intake", "beat"):
            deployment.start(kind)
        deployment.json("submit", str(tmp_path / "films"))
        deployment.wait_for(lambda: scored(deployment) >= 8, "the first films", 60)
        proxy.lose_one_in, proxy.answers_to_lose = 5, LOST

        deployment.wait_until_finished(seconds=100)

    assert proxy.lost_answers >= LOST // 2
    one_outcome_each(deployment, FILMS)
    assert {1: FILMS} == attempts(deployment)
