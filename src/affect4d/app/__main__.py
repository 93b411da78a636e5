"""``python -m affect4d.app``: serve the page on this machine; further arguments are Streamlit's own options."""

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    settings = tomllib.loads((HERE / "streamlit.toml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "streamlit", "run", str(HERE / "streamlit_app.py")]
    os.execv(sys.executable, [*command, *options(settings), *sys.argv[1:]])


if __name__ == "__main__":
    main()
