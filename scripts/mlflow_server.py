"""Open MLflow where conf/ says that runs are recorded; words that are given go on to ``mlflow server``."""

import os
import sys
from pathlib import Path

from kedro.config import OmegaConfigLoader
from rich.console import Console

from affect4d.hooks import MlflowOptions
from affect4d.settings import CONFIG_LOADER_ARGS


def main() -> None:
    """Serve the records of this machine; those of a server have a page already."""
    loader = OmegaConfigLoader("conf", env=os.environ.get("KEDRO_ENV"), **CONFIG_LOADER_ARGS)
    options = MlflowOptions(**loader["mlflow"])
    if options.tracking_uri.startswith(("http:", "https:")):
        Console(soft_wrap=True).print(f"Runs are recorded by a server: open {options.tracking_uri}")
        return
    command = Path(sys.executable).with_name("mlflow")
    os.execv(command, [str(command), "server", "--backend-store-uri", options.tracking_uri, *sys.argv[1:]])


if __name__ == "__main__":
    main()
