"""The dashboard's subcommands of `thoraq`: where each lives, and one line about it, so that help imports none."""

COMMANDS: dict[str, tuple[str, str]] = {
    "dashboard": ("dashboard.commands.server:dashboard", "start the web pages and the HTTP door"),
    "user": ("dashboard.commands.users:user", "add accounts, change their passwords and roles"),
}
