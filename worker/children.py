"""Child processes that end with their parent."""

import shutil


def killed_with_parent(command: list[str]) -> list[str]:
    """Return `command` changed so that the kernel kills its process when this one ends, however it ends.

    An orphaned Redis would go on writing to the file that the next demo's Redis opens. This needs util-linux's setpriv,
    which every Linux distribution installs; elsewhere an orphaned process must be stopped by hand.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command
