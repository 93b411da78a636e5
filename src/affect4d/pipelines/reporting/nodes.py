"""Figures of a run → summary, claims table, report with its sections, and model cards."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from affect4d.configuration_layers_and_checks import corpus_parameters
from affect4d.experiments.settings import ExperimentSettings
from affect4d.left_out import LeftOut, present
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

PROTOCOL = "subject-independent hold-out, per sequence"
COMPARED = (
    ("affect_vlm", "cross_entropy"),
    ("affect_vlm", "pixel_knn"),
    ("affect_vlm", "landmark_logistic"),
    ("affect_vlm", "blendshape_logistic"),
    ("affect_vlm", "face_api_logistic"),
    ("smile_vlm.linear_probe", "untrained_encoder.linear_probe"),
    ("smile_vlm.linear_probe", "cross_entropy"),
    ("smile_vlm.zero_shot", "pseudo_labels"),
)
"""Pairs of models tested against each other on the same sequences."""


def gather_predictions(
    affect_vlm: pd.DataFrame | LeftOut,
    smile_vlm: pd.DataFrame | LeftOut,
    reference: pd.DataFrame | LeftOut,
    baseline: pd.DataFrame | LeftOut,
) -> pd.DataFrame | LeftOut:
    """One table of the predictions of every model and baseline on every test sequence, in the headline setting."""
    tables = (affect_vlm, smile_vlm, reference, baseline)
    made = [table for table in tables if not isinstance(table, LeftOut)]
    if not made:
        return baseline
    every = pd.concat(made, ignore_index=True)
    return every[every["setting"] == "sequence"].drop(columns="setting").reset_index(drop=True)


def compare_models(predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Paired tests of selected pairs of models, Holm-corrected for their number."""
    from affect4d.evaluation import significance

    found = significance.compare_models(predictions, COMPARED, np.random.default_rng(0))
    return [{"first": first, "second": second, **asdict(outcome)} for (first, second), outcome in found.items()]


def measure_fairness(predictions: pd.DataFrame, sequences: pd.DataFrame) -> dict[str, Any]:
    """Fairness of the headline models over the subject attributes that the corpus supplies."""
    from affect4d.evaluation import fairness
    from affect4d.reporting.pages import HEADLINES

    tables = {name: predictions[predictions["model"] == name] for name in (*HEADLINES, "cross_entropy")}
    return {
        name: fairness.measure_fairness(table, sequences, np.random.default_rng(0))
        for name, table in tables.items()
        if len(table)
    }


def gather_evidence(
    evidence: Mapping[str, Callable[[], Any]],
    micro_comparison: list[dict[str, Any]] | LeftOut,
    raw_corpus: dict[str, Any],
) -> dict[str, Any]:
    """:func:`gather_stored_evidence`, with claim 9 as this run measured it where it did."""
    found = gather_stored_evidence(evidence, raw_corpus)
    if not isinstance(micro_comparison, LeftOut) and micro_comparison:
        found["findings"] = {"9": micro_comparison}
    return found


def gather_stored_evidence(evidence: Mapping[str, Callable[[], Any]], raw_corpus: dict[str, Any]) -> dict[str, Any]:
    """Results that pipelines left, of this corpus (studies, cross-validations, robustness) and of all (claims).

    Args:
        evidence: Partitions ``CORPUS/studies/SCALE/NAME``, ``CORPUS/claim_9``, ``CORPUS/cross_validation/NAME``,
            ``CORPUS/robustness`` and ``CORPUS/claims-SCALE``; the scale is the number of training subjects or ``all``.
            Of claim 9 the newest counts, whatever the corpus.
    """
    own = f"{raw_corpus['name']}/"
    robustness = evidence.get(f"{own}robustness")
    elsewhere = [load() for name, load in evidence.items() if name.endswith("/claim_9")]
    claim_9: list[dict[str, Any]] = max(
        (rows for rows in elsewhere if rows), key=lambda rows: str(rows[0]["made"]), default=[]
    )
    return {
        "studies": _by_scale(_load_below(evidence, f"{own}studies/")),
        "findings": {"9": claim_9} if claim_9 else {},
        "cross_validations": list(_load_below(evidence, f"{own}cross_validation/").values()),
        "robustness": None if robustness is None else robustness(),
        "claims": {name: load() for name, load in evidence.items() if name.split("/")[-1].startswith("claims-")},
    }


def answer_claims(
    evidence: dict[str, Any],
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    sequences: pd.DataFrame,
    view_manifest: pd.DataFrame,
    options: dict[str, Any],
    run_info: dict[str, Any],
) -> dict[str, Any]:
    """``claims`` from the evidence about the same data, with corpus, ``training_subjects`` of each seed and ``day``."""
    from affect4d.experiments import claims
    from affect4d.experiments.claims import Evidence
    from affect4d.experiments.variant_comparison_and_provenance import DataProvenance

    findings = {int(number): rows for number, rows in evidence["findings"].items()}
    present = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), sequences, view_manifest)
    found = Evidence(evidence["studies"].get(scale_name(options), {}), findings, present)
    return {
        "corpus": present.corpus,
        "training_subjects": options["training_subjects"],
        "data": present.data,
        "day": run_info["made"][:10],
        "commit": run_info["commit"],
        "claims": [asdict(result) for result in claims.evaluate_claims(found)],
    }


def scale_name(options: Mapping[str, Any]) -> str:
    """The folder of studies with as many training subjects."""
    return str(options["training_subjects"] or "all")


def studies_on(studies: Mapping[str, Mapping[str, Any]], data: str) -> dict[str, dict[str, Any]]:
    """The studies, by scale and name, that are about these data (:class:`DataProvenance`)."""

    def about(document: Any) -> bool:
        return isinstance(document, Mapping) and document.get("provenance", {}).get("basis", {}).get("data") == data

    return {
        scale: {name: document for name, document in documents.items() if about(document)}
        for scale, documents in studies.items()
    }


def write_claims_page(claims: dict[str, Any], evidence: dict[str, Any], run_info: dict[str, Any]) -> str:
    """Verdicts with their findings, and a forest plot of all contrasts at every number of training subjects."""
    from affect4d.experiments.claims import claims_by_corpus
    from affect4d.reporting.pages import render_claims

    return render_claims(
        claims,
        studies_on(evidence["studies"], claims["data"]),
        claims_by_corpus([*evidence["claims"].values(), claims]),
        datetime.datetime.fromisoformat(run_info["made"]),
    )


def summarise(
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    affect_vlm: dict[str, Any] | LeftOut,
    smile_vlm: dict[str, Any] | LeftOut,
    reference: dict[str, Any] | LeftOut,
    baseline: dict[str, Any] | LeftOut,
    seconds: dict[str, float],
    settings: ExperimentSettings,
    run_info: dict[str, Any],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The figures of the run, and why some are missing, in one small document; and as a table for the terminal."""
    from affect4d.evaluation.summary import results_table, write_summary

    models = {"affect_vlm": affect_vlm, "smile_vlm": smile_vlm}
    baselines = {"baselines": baseline, "references": reference}
    summary = write_summary(
        corpus=raw_corpus["name"],
        protocol=PROTOCOL,
        split=SubjectSplit.from_dict(subject_split),
        seed=settings.train.seed,
        models=present(models),
        baselines={name: scores for part in present(baselines).values() for name, scores in part.items()},
        left_out={name: one.reason for name, one in {**models, **baselines}.items() if isinstance(one, LeftOut)},
        seconds=seconds,
        versions=run_info["versions"],
    )
    return summary, results_table(summary)


def write_report(
    summary: dict[str, Any],
    data_section: dict[str, Any],
    model_section: dict[str, Any],
    evaluation_section: dict[str, Any],
    claims: dict[str, Any] | LeftOut,
    evidence: dict[str, Any],
    raw_corpus: dict[str, Any],
    run_info: dict[str, Any],
) -> tuple[str, str]:
    """The report as one self-contained page, and its tables as Markdown."""
    from affect4d.experiments.claims import claims_by_corpus
    from affect4d.reporting.pages import render_report, render_report_markdown, size_studies

    report = {
        "summary": summary,
        **data_section,
        **model_section,
        **evaluation_section,
        "command": f"kedro run --params {corpus_parameters(raw_corpus)},seed={summary['seed']}",
        "made": datetime.datetime.fromisoformat(run_info["made"]),
        "claims": () if isinstance(claims, LeftOut) else claims["claims"],
        "corpora": claims_by_corpus([*evidence["claims"].values(), *present({"own": claims}).values()]),
        "validations": evidence["cross_validations"],
        "robustness": evidence["robustness"],
        "studies": {} if isinstance(claims, LeftOut) else studies_on(evidence["studies"], claims["data"]),
        "sizes": size_studies(
            {name: found for studies in evidence["studies"].values() for name, found in studies.items()}
        ),
    }
    return render_report(report), render_report_markdown(report)


def write_model_cards(
    summary: dict[str, Any], raw_corpus: dict[str, Any], settings: ExperimentSettings
) -> tuple[str | LeftOut, str | LeftOut]:
    """Model cards of AffectVLM and SMILE-VLM as this run measured them; of a model that was not, none."""
    from affect4d.reporting.pages import render_model_card

    corpus, synthetic, text = describe_corpus(raw_corpus), bool(raw_corpus["synthetic"]), settings.model.encoder.text

    def card(model: str) -> str | LeftOut:
        if model in summary["left_out"]:
            return LeftOut(summary["left_out"][model])
        return render_model_card(
            model, summary, corpus=corpus, synthetic=synthetic, text_encoder=text, start=settings.start
        )

    return card("affect_vlm"), card("smile_vlm")


def _load_below(evidence: Mapping[str, Callable[[], Any]], folder: str) -> dict[str, Any]:
    return {name.removeprefix(folder): load() for name, load in sorted(evidence.items()) if name.startswith(folder)}


def _by_scale(documents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Results of studies by number of training subjects (``all`` last) and name; without a folder they are older."""
    studies: dict[str, dict[str, Any]] = {}
    for name in sorted(documents, key=lambda name: "/" in name):
        provenance = documents[name].get("provenance", {}) if isinstance(documents[name], Mapping) else {}
        scale = scale_name({"training_subjects": provenance.get("training_subjects")})
        studies.setdefault(scale, {})[name.split("/")[-1]] = documents[name]
    return dict(sorted(studies.items(), key=lambda item: (item[0] == "all", len(item[0]), item[0])))


Section = dict[str, Any]


def describe_data(
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    view_manifest: pd.DataFrame,
    ingest_report: pd.DataFrame,
    view_sheet: Image.Image,
    augmentation_sheet: Image.Image | LeftOut,
) -> Section:
    """Corpus, split, counts, and contact sheets where its faces are synthetic."""
    synthetic = bool(raw_corpus["synthetic"])
    sheets = (
        ("What the models see", "Every expression at its apex, from every view.", view_sheet),
        ("Mixed view augmentation", "Rows of the schedule, before and after.", augmentation_sheet),
    )
    pictures = [
        {"title": title, "caption": caption, "image": image}
        for title, caption, image in sheets
        if not isinstance(image, LeftOut)
    ]
    return {
        "split": SubjectSplit.from_dict(subject_split),
        "corpus": describe_corpus(raw_corpus),
        "synthetic": synthetic,
        "counts": _counts(view_manifest, ingest_report),
        "pictures": pictures if synthetic else (),
    }


def describe_models(
    affect_vlm: dict[str, Any] | LeftOut,
    smile_vlm: dict[str, Any] | LeftOut,
    cross_entropy: dict[str, Any] | LeftOut,
    affect_history: pd.DataFrame | LeftOut,
    smile_history: pd.DataFrame | LeftOut,
    cross_entropy_history: pd.DataFrame | LeftOut,
    view_manifest: pd.DataFrame,
    settings: ExperimentSettings,
) -> Section:
    """Learning curves, cost and view weights of the trained models."""
    from affect4d.evaluation.attribution import view_weights
    from affect4d.models import load_model

    records = present({"affect_vlm": affect_vlm, "smile_vlm": smile_vlm, "cross_entropy": cross_entropy})
    histories = {"affect_vlm": affect_history, "smile_vlm": smile_history, "cross_entropy": cross_entropy_history}
    views = list(view_manifest["views"].iloc[0])
    return {
        "histories": present(histories),
        "costs": {name: record["cost"] for name, record in records.items()},
        "view_weights": {
            name: view_weights(load_model(Path(record["folder"])), views, settings.inputs)
            for name, record in records.items()
        },
    }


def describe_evaluation(
    comparisons: list[dict[str, Any]] | LeftOut,
    pseudo_label_accuracy: dict[str, Any] | LeftOut,
    representations: dict[str, Any] | LeftOut,
    embedding_maps: pd.DataFrame | LeftOut,
    action_units: dict[str, Any] | LeftOut,
    fairness: dict[str, Any] | LeftOut,
    failures: list[Any] | LeftOut,
) -> Section:
    """Comparisons, pseudo-label accuracy, representations, action units, fairness, failures: those that are there."""
    purity = pseudo_label_accuracy if isinstance(pseudo_label_accuracy, LeftOut) else pseudo_label_accuracy["train"]
    parts: dict[str, Any] = {
        "comparisons": comparisons,
        "purity": purity,
        "representations": representations,
        "embedding_maps": embedding_maps,
        "action_units": action_units,
        "fairness": fairness,
        "failures": failures,
    }
    return present(parts)


def gather_action_units(
    affect_vlm: dict[str, Any] | LeftOut, smile_vlm: dict[str, Any] | LeftOut, baseline: dict[str, Any] | LeftOut
) -> dict[str, Any] | LeftOut:
    """Scores of the action units of every model and baseline that has any, by setting and name."""
    tables = [scores for scores in (affect_vlm, smile_vlm, baseline) if not isinstance(scores, LeftOut)]
    if not any(named for scores in tables for named in scores.values()):
        return LeftOut("No action units are scored.") if not isinstance(baseline, LeftOut) else baseline
    settings = dict.fromkeys(setting for scores in tables for setting in scores)
    return {
        setting: {name: one for scores in tables for name, one in scores.get(setting, {}).items()}
        for setting in settings
    }


def show_failures(
    predictions: pd.DataFrame, view_manifest: pd.DataFrame, raw_corpus: dict[str, Any], view_store: ContentStore
) -> list[Any]:
    """The wrong predictions of highest confidence, with the face at its apex where faces are synthetic."""
    from affect4d.views.contact_sheets import apex_image

    views = {row["sequence"]: row for row in view_manifest.to_dict("records")}
    synthetic = bool(raw_corpus["synthetic"])
    return [
        {
            **{name: row[name] for name in ("model", "sequence", "expression", "predicted", "confidence")},
            "image": apex_image(views[row["sequence"]], view_store) if synthetic else None,
        }
        for row in find_failures(predictions, ("affect_vlm", "smile_vlm.zero_shot")).to_dict("records")
    ]


def find_failures(predictions: pd.DataFrame, models: Sequence[str], each: int = 4) -> pd.DataFrame:
    """The wrong predictions of highest confidence of each model: column ``confidence``, in falling order."""
    confidence = predictions.filter(like="prob_").max(axis=1)
    wrong = predictions.assign(confidence=confidence)[predictions["predicted"] != predictions["expression"]]
    surest = wrong[wrong["model"].isin(models)].sort_values("confidence", ascending=False)
    return surest.groupby("model", sort=False).head(each)


def describe_corpus(raw_corpus: Mapping[str, Any]) -> str:
    """The corpus in a sentence; a mixture in one more than it has parts."""
    if "parts" in raw_corpus:
        parts = (f"{name}: {describe_corpus(part)}" for name, part in raw_corpus["parts"].items())
        return " ".join(["A mixture of corpora.", *parts])
    if not raw_corpus["synthetic"]:
        return f"The corpus {raw_corpus['name']!r}, as it lies on the disk of whoever ran this."
    faces = "synthetic subjects with recorded motion" if "recordings" in raw_corpus else "synthetic subjects"
    made = (
        f"{raw_corpus['subjects']} {faces}, {raw_corpus['sequences']:,} sequences, {raw_corpus['scans']:,} scans "
        "generated by this project."
    )
    return f"{_benchmark(raw_corpus['benchmark'])} {made}" if "benchmark" in raw_corpus else made


def _benchmark(made: Mapping[str, Any]) -> str:
    """The frozen benchmark that a corpus is, or why it is none."""
    name = f"{made['name']} version {made['version']}"
    if made["verdict"] in ("equal", "rounding"):
        return f"The frozen benchmark {name}."
    return f"Made for the benchmark {name}, but not comparable with it ({made['verdict']})."


def _counts(view_manifest: pd.DataFrame, ingest_report: pd.DataFrame) -> dict[str, int]:
    frames = int(view_manifest["frames"].map(len).sum())
    views = len(view_manifest["views"].iloc[0])
    return {
        "sequences": len(view_manifest),
        "scans": frames,
        "images": frames * views,
        "scans repaired": int((ingest_report["status"] == "repaired").sum()),
        "scans refused": int((ingest_report["status"] == "refused").sum()),
    }
