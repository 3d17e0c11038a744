"""`thoraq networks`: the networks that can be trained."""

from typing import Any

import click

from model_training.networks.catalogue import NETWORKS, trainable_parameters
from worker.commands.console import json_option, print_json, print_table

#: Parameters are counted for the paper's six classes.
COUNTED_CLASSES = 6


@click.command()
@json_option
def networks(*, as_json: bool) -> None:
    """List the networks that can be trained, with their parameters for six classes.

    Example: thoraq networks --json
    """
    rows = [_row(name) for name in NETWORKS]
    if as_json:
        print_json(rows)
        return
    print_table(
        "Networks",
        ("name", "trainable parameters", "input in pixels", "description"),
        (
            (
                row["name"],
                f"{row['trainable_parameters']:,}",
                " x ".join(map(str, row["input_size"])),
                row["description"],
            )
            for row in rows
        ),
    )


def _row(name: str) -> dict[str, Any]:
    network = NETWORKS[name]
    return {
        "name": name,
        "trainable_parameters": trainable_parameters(network.build(network, COUNTED_CLASSES)),
        "input_size": list(network.input_size),
        "description": network.description,
    }
