"""Put a project's newest models into the package, calibrated.

    python scripts/package_models.py PROJECT CORPUS --env=package

The temperature is fitted on every other test subject of the training corpus, in all three settings; the calibration
error that is printed is that of the rest. The text side goes to half precision, which keeps a file under 3 MB; the most
probable expressions stay the model's own.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console

from affect4d.datasets import ServedModelDataset
from affect4d.evaluation.calibration import calibrate, calibration_error
from affect4d.inference.packaged_model_description import (
    CARD_FILE,
    PACKAGED,
    Calibration,
    read_description,
    write_description,
)
from affect4d.inference.packaged_weights import halve_precision
from affect4d.reporting.pages import render_packaged_model_card

console = Console(highlight=False)
PREDICTED_BY = {"affect_vlm": "affect_vlm", "smile_vlm": "smile_vlm.zero_shot"}
"""Model → its name in the table of predictions, by prompts, which is how a packaged model predicts."""
LARGEST = 3_000_000


def main() -> int:
    """Package both; 1 where one is missing or too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path, help="folder of the project that trained them")
    parser.add_argument("corpus", help="what they were trained on, e.g. open-4dfer-m")
    parser.add_argument("--env", help="Kedro environment of their training, for the card")
    chosen = parser.parse_args()
    for name in PREDICTED_BY:
        records = chosen.project / "data" / "06_models" / chosen.corpus
        if not (records / f"{name}_packaged.json").is_dir():
            console.print(f"No {name}_packaged.json in {records}: kedro run --pipeline=package --params corpus=…")
            return 1
        folder = halve_precision(ServedModelDataset(model=name, filepath=str(records)).load(), PACKAGED / name)
        predictions = newest_predictions(chosen.project / "data" / "07_model_output" / chosen.corpus / name)
        calibrate_folder(folder, predictions[predictions["model"] == PREDICTED_BY[name]], chosen.corpus, chosen.env)
        size = (folder / "model.safetensors").stat().st_size
        console.print(f"{name}: {size:,} bytes")
        if size > LARGEST:
            return 1
    return 0


def newest_predictions(folder: Path) -> pd.DataFrame:
    """Predictions on test subjects that the newest run saved."""
    return pd.read_parquet(max(folder.glob("predictions.parquet/*/predictions.parquet")))


def calibrate_folder(folder: Path, predictions: pd.DataFrame, corpus: str, env: str | None) -> None:
    """Write a temperature fitted on every other subject into a packaged model, and print what it changes."""
    subjects = sorted(predictions["subject"].unique())
    fitted = predictions["subject"].isin(subjects[::2])
    rest, temperature = calibrate(predictions[~fitted], predictions[fitted])
    for setting, rows in rest.groupby("setting", sort=False):
        before = calibration_error(predictions.loc[rows.index])
        console.print(f"{folder.name}, {setting}: ECE {100 * before:.1f} → {100 * calibration_error(rows):.1f} %")
    described = read_description(folder)
    origin = dict(described.origin)
    if env is not None:
        corpus, origin["corpus"] = (f"{name} (conf/{env})" for name in (corpus, origin["corpus"]))
        origin["command"] = origin["command"].replace("kedro run", f"kedro run --env={env}")
    calibration = Calibration(
        temperature=temperature,
        fitted_on=f"{len(subjects[::2])} synthetic subjects of {corpus} that it was not trained on",
    )
    described = described.model_copy(update={"calibration": calibration, "origin": origin})
    write_description(described, folder)
    (folder / CARD_FILE).write_text(render_packaged_model_card(described.model_dump()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
