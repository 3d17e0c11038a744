"""Child processes that end with us."""

import shutil


def killed_with_parent(command: list[str]) -> list[str]:
    """Return `command` such that the kernel ends it when we die, however we die.

    An orphaned Redis would go on writing the file that the next demo's Redis opens. Needs util-linux's setpriv, which
    every Linux distribution installs; elsewhere an orphaned server must be stopped by hand.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command
