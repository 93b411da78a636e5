"""``affect4d`` on the command line: ``affect4d predict SCAN``; without a command, ``kedro run`` of this package."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None, **options: Any) -> Any:
    """Run a command of the installed package."""
    logger = logging.getLogger("kedro.framework.project")
    logger.addFilter(lambda record: record.levelno > logging.INFO)  # on import it names its configuration file
    from kedro.framework.project import configure_project

    from affect4d.cli import cli

    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in (*cli.commands, "--help"):
        words = ["run", *words]
    if words[0] == "run":
        configure_project(Path(__file__).parent.name)
    return cli.main(words, prog_name="affect4d", **{"standalone_mode": not hasattr(sys, "ps1"), **options})


if __name__ == "__main__":
    main()
