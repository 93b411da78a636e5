"""``affect4d predict FOLDER``: its table, then the processor seconds and the most memory (MB) of the process."""

import sys
import time

from affect4d.cli import cli
from affect4d.malloc_and_peak_memory import peak_memory

if __name__ == "__main__":
    cli.main(["predict", sys.argv[1]], standalone_mode=False)
    print(time.process_time(), peak_memory() / 2**20)
