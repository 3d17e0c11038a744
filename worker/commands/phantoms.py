"""`thoraq phantoms`: drawn films for a first try, and drawn data sets for training."""

from pathlib import Path

import click

from worker.films.phantoms import write_dataset, write_films


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--per-finding", type=click.IntRange(min=1), default=6, show_default=True, help="Films of each finding.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--dataset", is_flag=True, help="Draw train, validation and test folders.")
def phantoms(directory: Path, per_finding: int, seed: int, *, dataset: bool) -> None:
    """Draw phantom films, in one folder for each finding.

    Example: thoraq phantoms drawn/ --dataset --per-finding 300
    """
    if dataset and directory.exists():
        raise click.UsageError(f"{directory} already exists")
    if dataset:
        write_dataset(directory, per_finding, seed)
    else:
        write_films(directory, per_finding, seed)
