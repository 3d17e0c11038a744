"""The revisions, up and down: they give the tables of the code, and keep old rows."""

import pytest
from alembic import command
from sqlalchemy import text

from worker.commands.db import alembic_config
from worker.database import engine, reading
from worker.studies.records import Prediction, Study

#: One study of two scored films (a third was rejected), one rejected, one that waits, as revision 0001 had them.
OLD_ROWS = """
INSERT INTO submissions VALUES ('s', 't', 'r', '', 1, '[]', '{}', '2026-01-01 00:00:00');
INSERT INTO model_versions VALUES (1, 'm-1', '', '{}', '{}', '2026-01-01 00:00:00');
INSERT INTO studies (id, submission_id) VALUES (1, 's'), (2, 's'), (3, 's');
INSERT INTO predictions VALUES (1, 'a', 1, 'No-Findings', 0.9, '2026-01-01 00:00:00'),
                               (2, 'b', 1, 'Effusions', 0.8, '2026-01-01 00:00:00');
INSERT INTO finding_probabilities VALUES (1, 'Effusions', 0.1), (1, 'No-Findings', 0.9),
                                         (2, 'Effusions', 0.8), (2, 'No-Findings', 0.2);
INSERT INTO images (id, study_id, root, path, priority, state, attempts, received_at, finished_at, prediction_id) VALUES
  (1, 1, 'r', 'p', 1, 'scored', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:01', 1),
  (2, 1, 'r', 'p', 1, 'scored', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:02', 2),
  (3, 1, 'r', 'p', 1, 'rejected', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:03', NULL),
  (4, 2, 'r', 'p', 1, 'rejected', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:04', NULL),
  (5, 3, 'r', 'p', 1, 'waiting', 0, '2026-01-01 00:00:00', NULL, NULL)
"""


@pytest.fixture
def migrate(request, data_dir):
    """The configuration of Alembic for a database without tables."""
    import os

    if os.environ.get("THORAQ_TEST_ON_POSTGRES"):
        from conftest import forget_settings

        request.getfixturevalue("postgres_database")
        forget_settings()
    return alembic_config()


def test_old_studies_get_their_results(migrate):
    """Studies that were scored before are in the lists, and a downgrade loses no probability."""
    command.upgrade(migrate, "0001")
    with engine().begin() as connection:
        for statement in OLD_ROWS.split(";"):
            connection.execute(text(statement))

    command.upgrade(migrate, "head")

    with engine().connect() as connection:
        studies = connection.execute(text("SELECT state, label, probability FROM studies ORDER BY id")).all()
        moments = connection.execute(text("SELECT finished_at FROM studies ORDER BY id")).scalars().all()
    with reading() as session:
        study_findings = session.get_one(Study, 1).findings
        assert {"Effusions": 0.1, "No-Findings": 0.9} == session.get_one(Prediction, 1).probabilities
    assert {
        "Effusions": {"probability": 0.8, "image_id": 2}, "No-Findings": {"probability": 0.2, "image_id": 2},
    } == study_findings  # fmt: skip
    assert [("scored", "Effusions", 0.8), ("rejected", None, None), ("waiting", None, None)] == [*map(tuple, studies)]

    command.downgrade(migrate, "0007")

    with engine().connect() as connection:
        findings = connection.execute(text("SELECT finding, probability, image_id FROM study_findings ORDER BY 1"))
        assert [("Effusions", 0.8, 2), ("No-Findings", 0.2, 2)] == [tuple(row) for row in findings]
        rows = connection.execute(text("SELECT finding, probability FROM finding_probabilities ORDER BY 2"))
        assert [("Effusions", 0.1), ("No-Findings", 0.2), ("Effusions", 0.8), ("No-Findings", 0.9)] == [
            tuple(row) for row in rows
        ]
    assert ["3", "4", "None"] == [str(moment)[:19][-1] if moment else "None" for moment in moments]


def test_revisions_give_the_tables_of_the_code_before_and_after_a_downgrade(migrate):
    """A new deployment and an upgraded one have the same schema."""
    command.upgrade(migrate, "head")
    command.check(migrate)

    command.downgrade(migrate, "base")
    command.upgrade(migrate, "head")
    command.check(migrate)
