"""Accuracy of a packaged model on a corpus it was not trained on, in every setting."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from affect4d.evaluation.evaluate_models import Evaluated, EvaluationData, Evaluator, in_every_setting
from affect4d.evaluation.prediction_tables_and_leak_checks import SETTINGS, prediction_table
from affect4d.evaluation.sequence_embeddings_and_probabilities import embed_sequences
from affect4d.evaluation.significance import compare_models
from affect4d.inference.packaged_model_description import PackagedModel, PackagedModelError
from affect4d.inference.predictor import Predictor
from affect4d.rendering.options import RenderOptions
from affect4d.scans.expression import EXPRESSIONS


def check_same_images(model: PackagedModel, render: RenderOptions, crop_radius: float) -> None:
    """Refuse a model of other images or expressions than the corpus was prepared with.

    Raises:
        PackagedModelError: Names what differs and the parameters that the model needs.
    """
    if model.expressions != EXPRESSIONS:
        raise PackagedModelError(
            f"{model.name} predicts {', '.join(model.expressions)}; the labels are {', '.join(EXPRESSIONS)}."
        )
    needed, here = model.render.image_options, render.image_options
    differing = {f"render.{name}": needed[name] for name in needed if needed[name] != here.get(name)}
    if model.crop_radius != crop_radius:
        differing["ingest.crop_radius"] = model.crop_radius
    if differing:
        told = ", ".join(f"{name}: {value}" for name, value in differing.items())
        raise PackagedModelError(
            f"{model.name} was trained on other images than this corpus was rendered to. Set in "
            f"conf/local/parameters.yml, or with --params: {told}"
        )


def evaluate_packaged_model(folder: Path, data: EvaluationData) -> Evaluated:
    """Scores and predictions of a packaged model on test subjects, in every setting."""
    predictor = Predictor.load(folder)
    name, inputs = predictor.description.name, predictor.description.inputs

    def predict(at: Evaluator) -> dict[str, pd.DataFrame]:
        unseen = at.unseen()
        fused = embed_sequences(predictor.model, at.bank, inputs, sequences=unseen["sequence"].tolist()).fused
        return {name: prediction_table(unseen, predictor.probabilities(fused), name)}

    scores, predictions = in_every_setting(replace(data, inputs=inputs).evaluator(), predict)
    return scores[name], predictions


def compare_with_baselines(predictions: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of a model beside every baseline on the same test sequences, one row a setting and baseline.

    Args:
        predictions: Of one model; columns as of a prediction table, and ``setting``.
        baselines: Likewise, of any number of models; a baseline may lack a setting.

    Returns:
        Columns ``setting``, ``baseline``, ``model_accuracy``, ``baseline_accuracy``, ``difference``, ``low``, ``high``
        (95 % interval over subjects, 0…1), ``p`` (permutation over subjects, Holm-corrected within the setting).
    """
    model = predictions["model"].iloc[0]
    rows = []
    for setting in SETTINGS:
        every = pd.concat([table[table["setting"] == setting] for table in (predictions, baselines)])
        right = (every["predicted"] == every["expression"]).groupby(every["model"]).mean()
        pairs = [(model, name) for name in right.index if name != model]
        for (_, name), found in compare_models(every, pairs, np.random.default_rng(0)).items():
            rows.append(
                {
                    "setting": setting, "baseline": name, "model_accuracy": right[model],
                    "baseline_accuracy": right[name], "difference": found.difference,
                    "low": found.interval[0], "high": found.interval[1], "p": found.corrected,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
