"""The dashboard's subcommands of `thoraq`: where each is defined, its help, and the extra that it needs."""

from worker.cli import Subcommand

COMMANDS = {
    "dashboard": Subcommand("dashboard.commands.server:dashboard", "start the web pages and the HTTP API", "dashboard"),
    "user": Subcommand("dashboard.commands.users:user", "add accounts, change their passwords and roles", "dashboard"),
}
