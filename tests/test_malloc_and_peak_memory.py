import os
import subprocess
import sys

import numpy as np
import pytest

from affect4d.malloc_and_peak_memory import KEEPS_FREED, LARGEST
from affect4d.parallel.dask_client_and_workers import SETTINGS

SCRIPT = """
import resource, sys
import numpy as np
from affect4d.malloc_and_peak_memory import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
for _ in range(3):
    [np.ones(2_500_000) for _ in range(6)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    [np.ones(2_500_000) for _ in range(6)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_memory_is_not_mapped_anew():
    own = {name: value for name, value in os.environ.items() if name not in KEEPS_FREED}  # a nanny of Dask leaves them

    def faults(kept):
        command = [sys.executable, "-c", SCRIPT.format(kept=kept)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=own)
        return int(done.stdout)

    assert faults(kept=True) * 10 < faults(kept=False)


def test_workers_keep_memory_too():
    assert KEEPS_FREED.items() <= SETTINGS["distributed.nanny.pre-spawn-environ"].items()
    assert KEEPS_FREED["MALLOC_MMAP_THRESHOLD_"] == str(LARGEST)


PEAK = """
import sys
import numpy as np
from affect4d.malloc_and_peak_memory import peak_memory
held = np.ones(int(sys.argv[1]) // 8)
del held
print(peak_memory())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems tell one figure alone")
def test_the_most_a_process_held_is_its_own_and_not_that_of_who_started_it():
    size = 320_000_000
    held = np.ones(size // 8)

    def peak(own):
        command = [sys.executable, "-c", PEAK, str(own)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak(0) < held.nbytes
    assert size < peak(size) < 2 * size
