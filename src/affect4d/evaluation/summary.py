"""The figures of a run in one small document, for people (a table) and programs (``summary.json``)."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from rich.table import Table

from affect4d.evaluation.metrics import Scores
from affect4d.scans.splits import SubjectSplit, check_disjoint

NAMES: Mapping[str, str] = {
    "affect_vlm": "AffectVLM",
    "smile_vlm": "SMILE-VLM",
    "smile_vlm.linear_probe": "SMILE-VLM, linear probe",
    "smile_vlm.knn": "SMILE-VLM, nearest neighbours",
    "smile_vlm.zero_shot": "SMILE-VLM, zero-shot",
    "smile_vlm.free_text": "SMILE-VLM, zero-shot by free text",
    "random_tower": "Untrained tower, linear probe",
    "chance": "Chance",
    "pixel_knn": "Pixels, nearest neighbours",
    "pixel_logistic": "Pixels, logistic regression",
    "motion_logistic": "Motion, logistic regression",
    "landmark_logistic": "Landmarks, logistic regression",
    "action_oracle": "True facial actions (oracle)",
    "cross_entropy": "Cross-entropy, same size",
    "random_tower.linear_probe": "Untrained tower, linear probe",
    "random_tower.knn": "Untrained tower, nearest neighbours",
    "random_tower_knn": "Untrained tower, nearest neighbours",
    "pseudo_labels": "Pseudo-label rules alone",
}
"""What a person calls a model or a baseline."""

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
) -> dict[str, Any]:
    """Put a run's figures together.

    Args:
        corpus: Name of the corpus.
        protocol: How subjects were divided, e.g. ``"subject-independent hold-out"``.
        split: Subjects on either side.
        seed: Seed of the run.
        models: Scores of each model, or of each way of reading it.
        baselines: Scores of each baseline.
        seconds: Seconds each stage took.
        versions: Versions of data, code and libraries.

    Returns:
        A document of plain, JSON-able values.

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
        "seconds": {stage: round(float(value), 2) for stage, value in seconds.items()},
        "versions": dict(versions),
    }
    for name, scores in result_rows(summary):
        for key in ("accuracy", "macro_f1", "uar"):
            if not 0 <= scores[key] <= 1:
                raise ValueError(f"{key} of {name} is {scores[key]}, not within 0…1.")
    return summary


def result_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, Scores]]:
    """Every scored thing of a summary with its dotted name: models first, each way of reading them, then baselines."""
    for name, scores in {**summary["models"], **summary["baselines"]}.items():
        if "accuracy" in scores:
            yield name, cast(Scores, scores)
        else:
            yield from ((f"{name}.{way}", part) for way, part in scores.items())


def display_name(name: str) -> str:
    """What a person calls a model or baseline; a name nobody listed with spaces; words stay as they are."""
    return NAMES.get(name, name if " " in name else name.replace("_", " ").replace(".", ", "))


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The results as a table for the terminal: models above, baselines below, per cent with the interval."""
    counts = summary["subjects"]
    table = Table(
        title=f"{summary['corpus']}: sequences of {counts['test']} unseen subjects",
        caption=f"{summary['protocol']}, split {summary['split_hash'][:8]}, 95 % intervals over subjects",
        title_style="bold",
        caption_style="dim",
    )
    for heading in ("", "accuracy %", "95 % interval", "macro F1 %", "UAR %"):
        table.add_column(heading, justify="left" if not heading else "right")
    last = max(sum(1 for _ in result_rows({**summary, "baselines": {}})) - 1, 0)
    for place, (name, scores) in enumerate(result_rows(summary)):
        table.add_row(*_cells(name, scores), end_section=place == last, style="bold" if place <= last else "")
    return table


def _cells(name: str, scores: Scores) -> tuple[str, ...]:
    low, high = scores["interval"]
    interval = f"{low * 100:.0f} – {high * 100:.0f}" if low != high else "–"
    shares = (f"{value * 100:.1f}" for value in (scores["macro_f1"], scores["uar"]))
    return display_name(name), f"{scores['accuracy'] * 100:.1f}", interval, *shares


def _plain(value: Any) -> Any:
    """Nested mappings and lists of plain numbers, rounded to six places."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value
