"""The `thoraq` command: collects the subcommands of the installed packages and imports one only when it is called."""

import importlib
import io
import sys
from importlib.metadata import entry_points
from typing import NamedTuple

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from worker import NOTICE
from worker.errors import ScoringError
from worker.storage import disk

#: If a module of these packages is missing, that is a fault of ours and no missing extra.
OUR_PACKAGES = {"worker", "dashboard", "model_training", "migrations"}


class Subcommand(NamedTuple):
    """An entry of a package's table of subcommands."""

    #: `module:attribute` of the click command.
    target: str
    #: One line for `thoraq --help`.
    help: str
    #: The extra of the distribution that the command needs; None if every installation can run it.
    extra: str | None = None


class MissingExtra(click.ClickException):
    """A subcommand needs a library that is not installed."""

    exit_code = 1

    def __init__(self, name: str, extra: str) -> None:
        """Say what to install."""
        super().__init__(f"{name} needs pip install thoraq[{extra}]")


class InstalledCommands(click.Group):
    """A group whose subcommands are listed by the entry points `thoraq.commands`."""

    def __init__(self) -> None:
        """Collect the tables of subcommands; their modules are not imported."""
        super().__init__(name="thoraq", help=f"Scores batches of chest radiographs. {NOTICE}")
        self._table: dict[str, Subcommand] = {}
        for point in entry_points(group="thoraq.commands"):
            self._table.update(point.load())

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._table)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import the module of one subcommand and return it.

        Raises:
            MissingExtra: the module needs a library that is not installed.
        """
        if name not in self._table:
            return None
        module, attribute = self._table[name].target.split(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            self._explain(error, name)
            raise
        return command

    def invoke(self, context: click.Context) -> object:
        """Run a subcommand.

        Raises:
            MissingExtra: it needs a library that is not installed.
        """
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            self._explain(error, context.invoked_subcommand)
            raise

    def _explain(self, error: ModuleNotFoundError, name: str | None) -> None:
        """Raise `MissingExtra` if an extra brings the missing module."""
        subcommand = self._table.get(name or "")
        missing = (error.name or "").partition(".")[0]
        if name and subcommand and subcommand.extra and missing not in OUR_PACKAGES:
            raise MissingExtra(name, subcommand.extra) from error

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name].help) for name in sorted(self._table)])


def _explain_setting(error: ValidationError | SettingsError) -> str:
    """Return the errors in one line, without the values: one of them may be a password."""
    if isinstance(error, SettingsError):  # A value that is not the JSON that its setting needs.
        return str(error)
    return "; ".join(
        # An error about several settings at once has no place.
        ": ".join([*(str(part) for part in problem["loc"][:1]), problem["msg"]])
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )


def main() -> None:
    """Run `thoraq`. An error is one line on stderr; the exit code is 2 for bad input and 1 for a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # A terminal without UTF-8 must not end a command.
    try:
        code = InstalledCommands().main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        print(f"thoraq: {error.format_message()}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except (ValidationError, SettingsError) as error:
        print(f"thoraq: a setting is invalid: {_explain_setting(error)}", file=sys.stderr)  # noqa: T201
        code = 2
    except ScoringError as error:
        print(f"thoraq: {error}", file=sys.stderr)  # noqa: T201
        code = 1
    except OSError as error:
        if error.errno not in disk.TROUBLE:
            raise
        print(f"thoraq: a file cannot be written: {disk.explain(error)}", file=sys.stderr)  # noqa: T201
        code = 1
    sys.exit(code)
