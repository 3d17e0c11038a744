"""Functions for the fault tests: they write many films quickly, and check the outcomes in the ledger."""

from sqlalchemy import text

from worker.films.phantoms import write_films


def one_outcome_each(deployment, films: int) -> None:
    """Check that every film has exactly one outcome, and that every prediction is unique.

    The film check of the model may reject a few real films; no other reason is allowed.
    """
    with deployment.database() as connection:
        states = dict(connection.execute(text("SELECT state, count(*) FROM images GROUP BY state")).all())
        refused = connection.scalar(text("SELECT count(*) FROM rejections WHERE reason = 'not_a_chest_film'"))
        assert refused < films / 50
        assert {"scored": films - refused} | ({"rejected": refused} if refused else {}) == states
        assert films - refused == connection.scalar(text("SELECT count(*) FROM predictions"))
        assert refused == connection.scalar(text("SELECT count(*) FROM rejections"))


def scored(deployment) -> int:
    """Count the scored films in the table; a command would be too slow to interrupt the scoring halfway."""
    with deployment.database() as connection:
        return connection.scalar(text("SELECT count(*) FROM images WHERE state = 'scored'"))


def copies(directory, count: int) -> None:
    """Write many distinct films quickly: a few drawn ones, each with its own grey in one corner."""
    from PIL import Image

    sources = write_films(directory / "drawn", per_finding=4, seed=3)
    for number in range(count):
        image = Image.open(sources[number % len(sources)])
        image.putpixel((0, 0), number % 256)
        image.putpixel((1, 0), number // 256)
        image.save(directory / f"{number}.png")
    for source in sources:
        source.unlink()


def attempts(deployment) -> dict[int, int]:
    """Count the films by their number of claims."""
    with deployment.database() as connection:
        return dict(connection.execute(text("SELECT attempts, count(*) FROM images GROUP BY attempts")).all())


def leased(deployment) -> int:
    """Count the films that somebody is scoring."""
    with deployment.database() as connection:
        return connection.scalar(text("SELECT count(*) FROM images WHERE state = 'scoring'"))


def score_with_phantoms(deployment) -> None:
    """Promote the small network that was trained on phantoms, because it is fast."""
    version = next(row["version"] for row in deployment.json("models", "list") if row["trained_on"] == "phantoms")
    deployment.thoraq("models", "promote", version)
