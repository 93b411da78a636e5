"""A bundle → a folder to hand on: safetensors, prompts, card, ONNX; open_clip's own files where it built the towers."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from affect4d.store import ContentStore, code_version, content_key, file_digest

"""The code a folder depends on."""
RECORD = "export.json"


class ExportOptions(BaseModel):
    """What is made of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    onnx: bool = Field(default=True, description="Write the model as ONNX too.")
    calibration: Path | None = Field(
        default=None, description="Raw scans of other people, on which an int8 model finds its ranges; null: no int8."
    )


def export_model(options: ExportOptions, bundle: Path, export_store: ContentStore) -> dict[str, Any]:
    """Write a folder that others can load, unless it is there already; say where it is.

    Returns:
        ``model``, ``key``, ``entry``, ``folder``; ``bytes`` of every file; ``onnx_difference`` and ``int8_difference``,
        the largest difference of a probability from the bundle's own.

    Raises:
        FileNotFoundError: If there is nothing where the calibration scans should be.
        ModuleNotFoundError: If ONNX is asked for and the extra ``export`` is not installed.
    """
    from affect4d.inference.export import export_packaged_model
    from affect4d.inference.packaged_model import read_description

    name = read_description(bundle).name
    key = _key(options, bundle)
    entry = f"{name}/{key}"
    if not export_store.has(entry):
        with export_store.write(entry) as folder:
            made = export_packaged_model(bundle, folder, onnx=options.onnx, calibration=options.calibration)
            (folder / RECORD).write_text(json.dumps(made, indent=2) + "\n")
    folder = export_store.path(entry)
    made = json.loads((folder / RECORD).read_text())
    _print_files(made, folder)
    return {"key": key, "entry": entry, "folder": str(folder), **made}


def _key(options: ExportOptions, bundle: Path) -> str:
    """Digest of the bundle, of what is asked for, and of which scans int8 is calibrated on."""
    files = {file.name: file_digest(file) for file in sorted(bundle.iterdir()) if file.is_file()}
    scans = None if options.calibration is None else _files(options.calibration.expanduser())
    return content_key(bundle=files, onnx=options.onnx, scans=scans, code=code_version(__name__))


def _files(place: Path) -> list[list[str | int]]:
    """Every file at a path, and when it was changed last; of a single scan, those that lie beside it too.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = place.parent.glob(f"{place.stem}*") if place.is_file() else place.rglob("*")
    told: list[list[str | int]] = [[str(file), file.stat().st_mtime_ns] for file in sorted(found)]
    if not told:
        raise FileNotFoundError(f"No scans at {place}: calibration= names a scan, or a folder of scans.")
    return told


def _print_files(made: dict[str, Any], folder: Path) -> None:
    """What was written, and where."""
    from rich.console import Console
    from rich.table import Table

    shown = Table("file", "MB", title=f"{made['model']}, ready to hand on", title_justify="left")
    for name, size in made["bytes"].items():
        shown.add_row(name, f"{size / 1e6:.2f}")
    console = Console()
    console.print(shown)
    console.print(f"in {folder}", soft_wrap=True)
