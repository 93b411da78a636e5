"""Run the benchmarks: ``python -m benchmarks [--quick] [parse render.views …]``.

Every module of this folder that has a ``rows(quick, wanted)`` generator is a bench. The table goes to the terminal, the
rows to ``benchmarks/latest.json``. A bench that fails is a row that says so; the others run.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.rows import Row

LATEST = Path(__file__).parent / "latest.json"
COLUMNS = ("name", "ours", "unit", "peer", "peer's", "ratio", "target", "device", "note")


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 where a bench failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="starts of row names, e.g. parse or render.views; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, fewer repeats: some three minutes in all")
    chosen = parser.parse_args(arguments)
    found = [row for module in benches() for row in run(module, chosen.quick, tuple(chosen.names))]
    LATEST.write_text(json.dumps([{**asdict(row), "ratio": row.ratio} for row in found], indent=1) + "\n")
    Console(width=None if sys.stdout.isatty() else 200).print(table(found))
    return int(any(row.unit == "failed" for row in found))


def benches() -> Iterator[ModuleType]:
    """Modules of this folder with a ``rows`` function."""
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name not in ("__main__", "rows"):
            bench = importlib.import_module(f"benchmarks.{module.name}")
            if hasattr(bench, "rows"):
                yield bench


def run(bench: ModuleType, quick: bool, names: tuple[str, ...]) -> Iterator[Row]:
    """Rows of one bench whose names start with one of ``names`` (all, where there are none)."""

    def wanted(name: str) -> bool:
        return not names or name.startswith(names)

    if not any(wanted(name) for name in bench.NAMES):
        return
    try:
        for row in bench.rows(quick, wanted):
            print(f"{row.name}: {_number(row.value)} {row.unit}", file=sys.stderr)
            yield row
    except Exception as error:
        yield Row(bench.__name__, None, "failed", note=f"{type(error).__name__}: {error}")


def table(found: Sequence[Row]) -> Table:
    """The rows as a person reads them."""
    shown = Table(*COLUMNS)
    for row in found:
        numbers = (_number(row.value), row.unit, row.peer, _number(row.peer_value), _number(row.ratio))
        shown.add_row(row.name, *numbers, row.target, row.device, row.note)
    return shown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
