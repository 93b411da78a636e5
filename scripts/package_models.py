"""Put a project's newest models into the package: `python scripts/package_models.py PROJECT CORPUS`.

The text side goes to half precision, which keeps a file under 3 MB; answers stay the model's own to the bit.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from affect4d.datasets import ServedModelDataset
from affect4d.inference.packaged_model_description import PACKAGED
from affect4d.inference.packaged_weights import halve_precision

console = Console(highlight=False)
NAMES = ("affect_vlm", "smile_vlm")
LARGEST = 3_000_000


def main() -> int:
    """Package both; 1 where one is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path, help="folder of the project that trained them")
    parser.add_argument("corpus", help="what they were trained on, e.g. open-4dfer-m")
    chosen = parser.parse_args()
    for name in NAMES:
        records = chosen.project / "data" / "06_models" / chosen.corpus
        if not (records / f"{name}_packaged.json").is_dir():
            console.print(f"No {name}_packaged.json in {records}: kedro run --pipeline=package --params corpus=…")
            return 1
        folder = halve_precision(ServedModelDataset(model=name, filepath=str(records)).load(), PACKAGED / name)
        size = (folder / "model.safetensors").stat().st_size
        console.print(f"{name}: {size:,} bytes")
        if size > LARGEST:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
