"""A bundle whose shares can be taken at their word, by answers on people whose expressions are known."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from affect4d.evaluation.calibration import fit_temperature
from affect4d.evaluation.predictions import PROBABILITY_COLUMNS
from affect4d.inference.bundle import BUNDLE_FILE, Calibration, read_description
from affect4d.scans.expression import EXPRESSIONS


def calibrate_bundle(
    source: Path, target: Path, answers: pd.DataFrame, truth: Mapping[str, str], fitted_on: str
) -> Calibration:
    """Write a copy of a bundle that divides its scaled cosines by a temperature.

    Args:
        source: The bundle that gave the answers, not calibrated.
        target: Where the copy goes; a folder that is not there yet.
        answers: Its ``predictions`` table: ``recording`` and a column ``prob_…`` for each of the six expressions.
            Of people it was neither trained on nor will be measured on.
        truth: Recording → expression; recordings it lacks, and refused ones, count for nothing.
        fitted_on: Whose answers they are, in words; kept in the bundle.

    Raises:
        BundleError: If the source is no bundle.
        FileExistsError: If there is something at the target.
        ValueError: If the bundle is calibrated, does not answer by the six expressions, or no answer is left to fit to.
    """
    bundle = read_description(source)
    if bundle.calibration is not None:
        raise ValueError(f"{source} is calibrated already (on {bundle.calibration.fitted_on}): take the one before.")
    if bundle.expressions != EXPRESSIONS:
        raise ValueError(f"{source} answers {', '.join(bundle.expressions)}; a temperature is fitted to the six alone.")
    if target.exists():
        raise FileExistsError(f"There is something at {target}: name a folder that is not there yet.")
    known = answers.assign(expression=answers["recording"].map(dict(truth))).dropna(
        subset=["expression", *PROBABILITY_COLUMNS]
    )
    calibration = Calibration(temperature=fit_temperature(known), fitted_on=fitted_on)
    shutil.copytree(source, target)
    told = bundle.model_copy(update={"calibration": calibration})
    (target / BUNDLE_FILE).write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return calibration
