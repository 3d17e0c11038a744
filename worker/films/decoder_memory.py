"""The limit on the memory of a decoder process, which the kernel keeps.

Headers are checked before pixels are decoded, but a hostile file can make a decoder allocate what no header tells. Then
the allocation fails, the film is rejected, and the decoder goes on to the next one.
"""

import sys
from pathlib import Path

#: What a decoder process may have in memory, in bytes.
MAX_PROCESS_BYTES = 512 * 2**20
#: Code of the decoders' libraries that are loaded when they are first needed; the kernel's limit does not count it.
LIBRARY_BYTES = 32 * 2**20


def limit_memory() -> None:
    """Limit the memory that this process can allocate from now on; only Linux keeps such a limit."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - other systems have none

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines())
    allocated, resident = (int(status[name].split()[0]) * 1024 for name in ("VmData", "VmRSS"))
    limit = allocated + max(0, MAX_PROCESS_BYTES - LIBRARY_BYTES - resident)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
