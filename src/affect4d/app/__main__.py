"""``python -m affect4d.app``: serve the page on this machine; ``--watch FOLDER``: live mode of a folder.

Further arguments are Streamlit's own options.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from affect4d.app import WATCH

HERE = Path(__file__).parent


def options(settings: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """A configuration as command-line options, which hold wherever the app is started."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from options(value, f"{section}{name}.")
        else:
            yield f"--{section}{name}={str(value).lower() if isinstance(value, bool) else value}"


def main() -> None:
    """Replace this process by Streamlit."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--watch", default=os.environ.get(WATCH))
    given, others = parser.parse_known_args([word for word in sys.argv[1:] if word != "--"])
    if given.watch:
        if not Path(given.watch).is_dir():
            sys.exit(f"There is no folder {given.watch} to watch: make it, or name the one that scans go to.")
        os.environ[WATCH] = str(Path(given.watch).resolve())
    settings = tomllib.loads((HERE / "streamlit.toml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "streamlit", "run", str(HERE / "streamlit_app.py")]
    os.execv(sys.executable, [*command, *options(settings), *others])


if __name__ == "__main__":
    main()
