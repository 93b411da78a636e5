"""Scores of a run in one small document (``summary.json``), and as a table for the terminal."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import pandas as pd

from affect4d.evaluation.metrics import Scores
from affect4d.evaluation.prediction_tables_and_leak_checks import Setting
from affect4d.scans.splits import SubjectSplit, check_disjoint

NAMES: Mapping[str, str] = {
    "affect_vlm": "AffectVLM",
    "smile_vlm": "SMILE-VLM",
    "smile_vlm.linear_probe": "SMILE-VLM, linear probe",
    "smile_vlm.knn": "SMILE-VLM, nearest neighbours",
    "smile_vlm.zero_shot": "SMILE-VLM, zero-shot",
    "smile_vlm.free_text": "SMILE-VLM, zero-shot by free text",
    "smile_vlm.free_text_face": "SMILE-VLM, by free text, faces",
    "smile_vlm.free_text_situation": "SMILE-VLM, by free text, situations",
    "affect_vlm.free_text": "AffectVLM, by free text",
    "affect_vlm.free_text_face": "AffectVLM, by free text, faces",
    "affect_vlm.free_text_situation": "AffectVLM, by free text, situations",
    "baselines": "Baselines",
    "references": "Cross-entropy and untrained encoder",
    "untrained_encoder": "Untrained encoder, linear probe",
    "chance": "Chance",
    "pixel_knn": "Pixels, nearest neighbours",
    "pixel_logistic": "Pixels, logistic regression",
    "motion_logistic": "Motion, logistic regression",
    "landmark_logistic": "Landmarks, logistic regression",
    "blendshape_logistic": "Blendshape scores, logistic regression",
    "face_api": "face-api (2D, front view)",
    "face_api_logistic": "face-api, logistic regression",
    "action_oracle": "True action units (oracle)",
    "cross_entropy": "Cross-entropy, same size",
    "untrained_encoder.linear_probe": "Untrained encoder, linear probe",
    "untrained_encoder.knn": "Untrained encoder, nearest neighbours",
    "untrained_encoder_knn": "Untrained encoder, nearest neighbours",
    "pseudo_labels": "Pseudo-label rules alone",
    "landmark_ridge": "Landmarks, ridge regression",
    "blendshape_ridge": "Blendshape scores, ridge regression",
}
"""Display names of models and baselines."""

SETTING_NAMES: Mapping[Setting, str] = {
    "sequence": "sequence",
    "apex_neutral": "apex + neutral",
    "single_scan": "single scan",
}
"""Display names of settings."""

ModelScores = Scores | Mapping[str, Scores]


def write_summary(
    *,
    corpus: str,
    protocol: str,
    split: SubjectSplit,
    seed: int,
    models: Mapping[str, ModelScores],
    baselines: Mapping[str, Scores],
    seconds: Mapping[str, float],
    versions: Mapping[str, str],
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Collect a run's scores in a document of plain, JSON-able values.

    ``models`` and ``baselines`` are scores by name, or by name and readout (probe, prompts …); ``seconds`` by stage;
    ``left_out`` is the reason why a model, or the ``baselines`` or ``references``, have no scores.

    Raises:
        SubjectLeakError: If the two sides share a subject.
        ValueError: If a score is not within 0…1.
    """
    check_disjoint(split.train, split.test)
    summary = {
        "corpus": corpus,
        "protocol": protocol,
        "split_hash": split.digest,
        "seed": seed,
        "subjects": {"train": len(split.train), "test": len(split.test)},
        "models": _plain(models),
        "baselines": _plain(baselines),
        "left_out": dict(left_out),
        "seconds": {stage: round(float(value), 2) for stage, value in seconds.items()},
        "versions": dict(versions),
    }
    for name, scores in result_rows(summary):
        for key in ("accuracy", "macro_f1", "uar"):
            if not 0 <= scores[key] <= 1:
                raise ValueError(f"{key} of {name} is {scores[key]}, not within 0…1.")
    return summary


def result_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, Scores]]:
    """Dotted name and scores of every model and readout of a summary, then of every baseline."""
    for name, scores in {**summary["models"], **summary["baselines"]}.items():
        if "accuracy" in scores:
            yield name, cast(Scores, scores)
            yield from ((f"{name}.{way}", part) for way, part in scores.items() if way.startswith("free_text"))
        else:
            yield from ((f"{name}.{way}", part) for way, part in scores.items())


def display_name(name: str) -> str:
    """Display name of a model or baseline; an unlisted name with spaces for its separators."""
    return NAMES.get(name, name if " " in name else name.replace("_", " ").replace(".", ", "))


def results_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """The results in per cent with their intervals, as text: models first, then baselines."""
    return pd.DataFrame([_row(name, scores) for name, scores in result_rows(summary)])


def _row(name: str, scores: Scores) -> dict[str, str]:
    low, high = scores["interval"]
    settings = scores.get("settings", {})
    others = {f"{name} %": settings.get(setting) for setting, name in SETTING_NAMES.items() if setting != "sequence"}
    return {
        "model": display_name(name),
        "accuracy %": f"{scores['accuracy'] * 100:.1f}",
        "95 % interval": f"{low * 100:.0f} – {high * 100:.0f}" if low != high else "–",
        **{name: f"{one['accuracy'] * 100:.1f}" if one else "–" for name, one in others.items()},
        "macro F1 %": f"{scores['macro_f1'] * 100:.1f}",
        "UAR %": f"{scores['uar'] * 100:.1f}",
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value
