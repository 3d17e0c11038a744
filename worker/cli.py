"""The `thoraq` command: collects the subcommands that the installed packages bring; imports one only when it runs."""

import importlib
import sys
from importlib.metadata import entry_points

import click
from pydantic import ValidationError

from worker.errors import ScoringError


class InstalledCommands(click.Group):
    """A group whose subcommands are named by the entry points `thoraq.commands`."""

    def __init__(self) -> None:
        """Collect the tables of subcommands; the modules behind them stay unimported."""
        super().__init__(name="thoraq", help="Scores batches of chest radiographs. Research use, not a medical device.")
        self._table: dict[str, tuple[str, str]] = {}
        for point in entry_points(group="thoraq.commands"):
            self._table.update(point.load())

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._table)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import the module of one subcommand and return it."""
        if name not in self._table:
            return None
        module, attribute = self._table[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name][1]) for name in sorted(self._table)])


def main() -> None:
    """Run `thoraq`. An error is one line on stderr: exit code 2 for bad input, 1 for a failure."""
    try:
        code = InstalledCommands().main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        print(f"thoraq: {error.format_message()}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        print(f"thoraq: a setting is invalid: {problems}", file=sys.stderr)  # noqa: T201
        code = 2
    except ScoringError as error:
        print(f"thoraq: {error}", file=sys.stderr)  # noqa: T201
        code = 1
    sys.exit(code)
