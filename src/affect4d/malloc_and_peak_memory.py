"""Memory of this process: the most it held, and what the C library does with what was freed.

Freed memory is kept, instead of giving every large array back to the system: an array above a fraction of a megabyte
is by default mapped anew each time it is made, and the system fills it with zeros first, page by page. A scan, or a
training step, makes dozens of one size. Measured on two cores: reading and drawing a scan of 35,000 vertices takes
75 ms of a processor instead of 87, a bare training step on one thread 205 ms instead of 255.
"""

import ctypes
import functools
import re
import resource
import sys
from pathlib import Path

LARGEST = 32 * 1024**2  # bytes from which an array is mapped nevertheless; the C library takes no more than this
KEPT = 1024**3  # free bytes at the end of the heap above which they are given back
_TRIM, _MMAP, _ARENAS = -1, -3, -8  # of glibc's malloc.h
KEEPS_FREED = {
    "MALLOC_MMAP_THRESHOLD_": str(LARGEST),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT),
    "MALLOC_ARENA_MAX": "1",
}
"""The same, for the surroundings of a process that is yet to start."""


@functools.cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next array, in this process; does nothing elsewhere."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return all([mallopt(_ARENAS, 1), mallopt(_MMAP, LARGEST), mallopt(_TRIM, KEPT)])


def peak_memory() -> int:
    """Bytes of memory this process held at most since its program began; ``getrusage`` would count its parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        own = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        if own is not None:
            return int(own[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
