"""List what no manifest names, and drop it where that is asked for: `make prune`, `make prune YES=1`."""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from affect4d.store.content_store import format_size
from affect4d.store.prune import KEEP_HOURS, Prune, UnreadableManifestError, carry_out, plan_prune

console = Console(highlight=False)


def main() -> int:
    """List; drop with --yes; 1 where nothing may be dropped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder of stores and manifests")
    parser.add_argument("--hours", type=float, default=KEEP_HOURS, help="what was used since then stays")
    parser.add_argument("--yes", action="store_true", help="drop it")
    chosen = parser.parse_args()
    try:
        prune = plan_prune(chosen.data, chosen.hours)
    except (FileNotFoundError, UnreadableManifestError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    show(prune, chosen.data, chosen.hours)
    if chosen.yes:
        console.print(f"Freed {format_size(carry_out(prune))}.")
    elif prune.dropped:
        console.print("Nothing was dropped. To drop it: [bold]make prune YES=1[/bold]")
    return 0


def show(prune: Prune, data: Path, hours: float) -> None:
    """A row for each folder of entries that no manifest names."""
    sizes: dict[Path, list[int]] = defaultdict(list)
    for entry in prune.dropped:
        sizes[entry.path.parent.relative_to(data)].append(entry.size)
    table = Table("folder", "entries", "size", title=f"Named by no manifest, not used for {hours:g} hours")
    for folder, found in sorted(sizes.items()):
        table.add_row(str(folder), str(len(found)), format_size(sum(found)))
    if prune.dropped:
        console.print(table)
    named = f"{len(prune.kept)} entries ({format_size(sum(entry.size for entry in prune.kept))}) stay"
    dropped = f"{len(prune.dropped)} ({format_size(sum(entry.size for entry in prune.dropped))}) may go"
    console.print(f"{named}, {dropped}; {prune.manifests} manifests read.")


if __name__ == "__main__":
    sys.exit(main())
