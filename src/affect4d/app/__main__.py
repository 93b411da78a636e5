"""``python -m affect4d.app``: serve the page on this machine; further words are Streamlit's own options."""

import os
import sys
from pathlib import Path

SETTINGS = (
    "--server.address=127.0.0.1",
    "--server.enableXsrfProtection=true",
    "--server.enableCORS=true",
    "--server.maxUploadSize=200",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
    "--client.toolbarMode=minimal",
)
"""Loopback only, no forged requests, no word to anybody; said here so that no configuration file is needed."""


def main() -> None:
    """Become Streamlit."""
    page = Path(__file__).with_name("main.py")
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(page), *SETTINGS, *sys.argv[1:]])


if __name__ == "__main__":
    main()
