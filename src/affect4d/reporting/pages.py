"""Self-contained pages of a run, a prediction, a study and the claims, and model cards (Mitchell et al. 2019)."""

import base64
import datetime
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from affect4d.evaluation.summary import SETTING_NAMES, display_name, result_rows
from affect4d.experiments.claims import ClaimsByCorpus, corpus_and_scale
from affect4d.experiments.variant_comparison_and_provenance import (
    EQUIVALENCE_MARGIN,
    FEWEST_SUBJECTS,
    StudyProvenance,
    VariantResult,
    describe_changes,
    from_document,
)
from affect4d.experiments.variants import STUDIES, Study
from affect4d.reporting import figures
from affect4d.training.options import StartingPoint

HEADLINES: tuple[str, ...] = ("affect_vlm", "smile_vlm.linear_probe", "smile_vlm.zero_shot")
NO_RESULTS: Mapping[str, Any] = {
    "counts": {},
    "histories": {},
    "costs": {},
    "view_weights": {},
    "purity": None,
    "representations": {},
    "embedding_maps": None,
    "pictures": (),
    "comparisons": (),
    "claims": (),
    "corpora": None,
    "validations": (),
    "action_units": None,
    "fairness": {},
    "robustness": None,
    "sizes": {},
    "studies": {},
    "failures": (),
    "command": "make run",
    "made": None,
}  # parts of a report that may be missing; their sections are then left out
CURVES: Mapping[str, str] = {
    "unseen_accuracy": "Accuracy on unseen subjects after each epoch",
    "gradient_norm": "Norm of the gradient, before clipping",
    "alpha": "The learnable margin α",
}  # columns of a study's curves that are drawn, and their titles
METHODS: Mapping[str, str] = {
    "affect_vlm": "Supervised: views and prompts of one expression are drawn together (image-text alignment, pair and "
    "triplet terms under a learnable margin). After AffectVLM, arXiv 2504.19739.",
    "smile_vlm": "Self-supervised: multiview decorrelation, vision-language contrast with pseudo-labeled prompts, and "
    "cross-modal redundancy minimisation; no human label is used. After SMILE-VLM, arXiv 2506.01203.",
}
MOST_TIMELINES = 24
MOST_REFUSED = 200


def render_report(report: Mapping[str, Any]) -> str:
    """Report of a run as an HTML document that loads nothing.

    Args:
        report: ``summary`` (:func:`affect4d.evaluation.summary.write_summary`), ``split``
            (:class:`~affect4d.scans.splits.SubjectSplit`), ``corpus`` (a sentence), ``synthetic`` (whether its faces
            are), and any of :data:`NO_RESULTS`: ``counts`` by name; by model ``histories`` (tables of steps),
            ``costs``, ``view_weights``, ``representations`` and ``fairness``; ``action_units``, scores by setting and
            name; ``purity`` of pseudo-labels; ``embedding_maps``; ``pictures`` (``title``, ``caption``, ``image``);
            ``comparisons`` (``first``, ``second`` and a paired comparison); ``claims`` and those of other ``corpora``;
            ``validations`` (cross-validations); ``robustness``; ``sizes`` (studies over numbers of subjects:
            ``question``, ``provenance``, ``curves``, by name); stored ``studies`` by scale and name; ``failures``
            (``model``, ``sequence``, ``expression``, ``predicted``, ``confidence``, ``image``); the ``command``; and
            when it was ``made``.
    """
    context = {**NO_RESULTS, **report}
    rows = dict(result_rows(context["summary"]))
    maps = context["embedding_maps"]
    return _render(
        "report.html.jinja",
        context=context,
        summary=context["summary"],
        rows=rows,
        headlines=[(name, rows[name]) for name in HEADLINES if name in rows],
        models=_models(context["summary"]),
        curves={name: list(figures.learning_figures(history)) for name, history in context["histories"].items()},
        retrievals=list(_retrieval_rows(context["representations"])),
        maps=[] if maps is None else list(maps["model"].unique()),
        figures=_as_json(_report_figures(context)),
        pictures=[(picture, png_address(picture["image"])) for picture in context["pictures"]],
        feature_names=figures.FEATURES_OF,
        plotly=Markup(get_plotlyjs()),
    )


def render_report_markdown(report: Mapping[str, Any]) -> str:
    """Tables of :func:`render_report` as Markdown."""
    context = {**NO_RESULTS, **report}
    summary = context["summary"]
    rows, models = dict(result_rows(summary)), _models(summary)
    return _render("report.md.jinja", context=context, summary=summary, rows=rows, models=models)


def render_gallery_page(
    predictions: pd.DataFrame,
    timelines: pd.DataFrame,
    images: Mapping[str, bytes],
    *,
    expressions: Sequence[str],
    model: str,
    measured: Mapping[str, Any] | None,
    source: str,
    command: str,
    made: datetime.datetime | None = None,
) -> str:
    """Gallery of a prediction: faces (``images``: JPEG by recording) with probabilities, timelines, refused scans."""
    answered, refused = predictions[predictions["status"] != "refused"], predictions[predictions["status"] == "refused"]
    sequences = answered[answered["frames"] > 1].head(MOST_TIMELINES)
    drawn = {
        f"timeline-{place}": figures.timeline_figure(timelines[timelines["recording"] == recording], expressions)
        for place, recording in enumerate(sequences["recording"])
    }
    shown = answered[answered["recording"].isin(list(images))]
    bad = timelines[(timelines["status"] == "refused") & ~timelines["recording"].isin(set(refused["recording"]))]
    return _render(
        "gallery.html.jinja",
        cards=[_face_card(row, expressions, images[row["recording"]]) for row in shown.to_dict("records")],
        hidden=len(answered) - len(shown),
        counts={name: int((answered["expression"] == name).sum()) for name in expressions},
        answered=len(answered),
        scans=int(predictions["frames"].sum()),
        calibrated=bool(predictions["calibrated"].any()),
        refused=refused.head(MOST_REFUSED).to_dict("records"),
        refused_count=len(refused),
        bad_frames=bad.head(MOST_REFUSED).to_dict("records"),
        timelines=list(zip(drawn, sequences.to_dict("records"), strict=True)),
        sequences=int((answered["frames"] > 1).sum()),
        figures=_as_json(drawn),
        plotly=Markup(get_plotlyjs()) if drawn else "",
        expressions=expressions,
        model=model,
        measured=measured,
        source=source,
        command=command,
        made=made,
    )


def render_study(
    study: Study,
    results: Sequence[VariantResult],
    curves: pd.DataFrame,
    provenance: StudyProvenance,
    *,
    command: str,
    versions: Mapping[str, str],
) -> tuple[str, str]:
    """Page of a study as HTML, and its tables as Markdown; ``curves`` has ``variant``, ``seed``, ``epoch``."""
    drawn = study_figures(curves, {row.variant: row.description for row in results})
    curve = size_curves(study, results)
    if curve:
        drawn["sizes"] = figures.sizes_figure(curve)
    if any(row.against for row in results):
        drawn["contrasts"] = figures.contrasts_figure({study.name: results}, EQUIVALENCE_MARGIN)
    page, markdown = (
        _render(
            template,
            study=study,
            results=results,
            first=results[0],
            parts=list(results[0].parts),
            paired=any(row.against not in ("", results[0].variant) for row in results),
            fewest=FEWEST_SUBJECTS,
            margin=EQUIVALENCE_MARGIN,
            converges=bool(curves["unseen_accuracy"].notna().groupby(curves["variant"]).any().all()),
            titles=CURVES,
            provenance=provenance,
            changes=describe_changes(provenance.changes or {}),
            command=command,
            versions=versions,
            figures=_as_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
        for template in ("study.html.jinja", "study.md.jinja")
    )
    return page, markdown


def render_claims(
    claims: Mapping[str, Any],
    studies: Mapping[str, Mapping[str, Any]],
    corpora: ClaimsByCorpus,
    made: datetime.datetime,
) -> str:
    """Page of the claims on one corpus at one scale, with a forest plot of its contrasts at every scale.

    Args:
        claims: ``corpus``, ``training_subjects``, ``day`` and ``claims``.
        studies: Stored results of studies, by scale and name.
        corpora: Verdicts on other corpora and at other scales.
        made: When the page was made.
    """
    return _render(
        "claims.html.jinja",
        context={"claims": claims["claims"], "corpora": corpora},
        title=corpus_and_scale(claims),
        figures=_as_json(forest_plots(studies)),
        made=made,
        plotly=Markup(get_plotlyjs()),
    )


def forest_plots(studies: Mapping[str, Mapping[str, Any]]) -> dict[str, go.Figure]:
    """One forest plot a study, with a series for every number of training subjects; ``studies`` by scale and name."""
    found: dict[str, dict[str, list[VariantResult]]] = {}
    for scale, documents in sorted(studies.items()):
        for name, document in _readable(documents):
            found.setdefault(name, {})[f"{scale} training subjects"] = from_document(document["variants"])
    return {
        f"forest-{name}": figures.contrasts_figure(results, EQUIVALENCE_MARGIN)
        for name, results in found.items()
        if any(row.against for rows in results.values() for row in rows)
    }


def render_model_card(
    model: str,
    summary: Mapping[str, Any],
    *,
    corpus: str,
    synthetic: bool,
    text_encoder: str,
    start: StartingPoint | None = None,
) -> str:
    """Card of a model as a run measured it, in Markdown, from :func:`affect4d.evaluation.summary.write_summary`."""
    if model not in summary["models"]:
        raise ValueError(f"The summary has no model {model!r}; it has: {', '.join(summary['models'])}.")
    own = dict(result_rows({"models": {model: summary["models"][model]}, "baselines": {}}))
    baselines = dict(result_rows({"models": {}, "baselines": summary["baselines"]}))
    return _render(
        "model_card.md.jinja",
        name=display_name(model),
        method=METHODS.get(model, ""),
        summary=summary,
        own=own,
        rows={**own, **baselines},
        corpus=corpus,
        synthetic=synthetic,
        text_encoder=text_encoder,
        start=start,
    )


def render_packaged_model_card(description: Mapping[str, Any]) -> str:
    """Card of a packaged model, in Markdown, from the contents of ``packaged_model.json``."""
    return _render("packaged_model_card.md.jinja", method=METHODS.get(description["name"], ""), **description)


def size_curves(study: Study, results: Sequence[VariantResult]) -> dict[str, list[tuple[int, float, float, float]]]:
    """Points (subjects trained on, accuracy, ends of its interval) of every curve of a study; none of most studies.

    On a mixture of corpora there is one curve a part, without intervals.
    """
    curves: dict[str, list[tuple[int, float, float, float]]] = {}
    places = {variant.name: variant for variant in study.variants if variant.series}
    for row in results:
        if row.variant in places:
            own = places[row.variant]
            points = {f"{own.series}, tested on {part}": (hit, hit, hit) for part, hit in row.parts.items()}
            for name, (hit, *ends) in (points or {own.series: (row.accuracy, *row.interval)}).items():
                curves.setdefault(name, []).append((own.size, hit, ends[0], ends[1]))
    return {name: sorted(points) for name, points in curves.items()}


def size_studies(documents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The studies over numbers of subjects among the stored results of studies, for a report."""
    studies = {}
    for name, document in _readable(documents):
        curves = size_curves(STUDIES[name], from_document(document["variants"]))
        if curves:
            provenance = StudyProvenance.from_document(document["provenance"])
            studies[name] = {"question": STUDIES[name].question, "provenance": provenance, "curves": curves}
    return studies


def _readable(documents: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The stored results of known studies, of this version."""
    for name, document in documents.items():
        if name in STUDIES and isinstance(document, Mapping) and "contrasts" in document.get("provenance", {}):
            yield name, document


def study_figures(curves: pd.DataFrame, names: Mapping[str, str]) -> dict[str, go.Figure]:
    """One figure a measured column: means over seeds, one line a variant; constant curves are left out."""
    drawn: dict[str, Any] = {}
    for column in CURVES:
        if column in curves and curves[column].notna().any():
            means = curves.pivot_table(index="epoch", columns="variant", values=column, aggfunc="mean")
            moving = [name for name in names if name in means and means[name].nunique() > 1]
            drawn[column] = figures.lines(means[moving], names)
    return drawn


@cache
def templates() -> jinja2.Environment:
    """Page templates; HTML is escaped, and a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("affect4d.reporting", "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, points=_points, display=display_name, p_value=_p_value, source=_source)
    environment.filters["setting"] = SETTING_NAMES.__getitem__
    environment.filters.update(figure=_value, difference=_difference, picture=png_address)
    return environment


def png_address(image: Image.Image) -> str:
    """An image as a ``data:`` address."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _render(template: str, **values: Any) -> str:
    return templates().get_template(template).render(**values)


def _as_json(drawn: Mapping[str, go.Figure]) -> dict[str, Markup]:
    return {name: Markup(figures.figure_json(figure)) for name, figure in drawn.items()}


def _models(summary: Mapping[str, Any]) -> list[str]:
    return list(dict(result_rows({**summary, "baselines": {}})))


def _report_figures(context: Mapping[str, Any]) -> dict[str, go.Figure]:
    summary = context["summary"]
    drawn = {"results": figures.results_figure(summary), "seconds": figures.seconds_figure(summary["seconds"])}
    for name, scores in result_rows(summary):
        if name != "chance":
            drawn[f"confusion-{name}"] = figures.confusion_figure(scores)
    for model, history in context["histories"].items():
        curves = figures.learning_figures(history).values()
        drawn.update({f"curve-{model}-{place}": figure for place, figure in enumerate(curves)})
    if context["view_weights"]:
        drawn["view-weights"] = figures.view_weights_figure(context["view_weights"])
    if context["purity"] is not None:
        drawn["purity"] = figures.purity_figure(context["purity"])
    for name, sizes in context["sizes"].items():
        drawn[f"sizes-{name}"] = figures.sizes_figure(sizes["curves"])
    if context["claims"]:
        drawn.update(forest_plots(context["studies"]))
    for name, accuracies in (context["robustness"] or {}).get("curves", {}).items():
        drawn[f"robustness-{name}"] = figures.robustness_figure(accuracies)
    if context["representations"]:
        drawn["few-shot"] = figures.few_shot_figure(context["representations"])
    if context["embedding_maps"] is not None:
        maps = context["embedding_maps"].groupby("model", sort=False)
        drawn.update({f"map-{name}": figures.embedding_map_figure(table) for name, table in maps})
    return drawn


def _retrieval_rows(representations: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, float]]]:
    for model, scores in representations.items():
        for texts, directions in scores.get("retrieval", {}).items():
            for direction, found in directions.items():
                yield model, texts.replace("_", " "), direction.replace("_", " "), found


def _face_card(row: Mapping[Any, Any], expressions: Sequence[str], image: bytes) -> dict[str, Any]:
    probabilities = ((name, row[f"prob_{name}"]) for name in expressions)
    return {
        "name": row["recording"],
        "expression": row["expression"],
        "probabilities": sorted(probabilities, key=lambda pair: -pair[1]),
        "image": f"data:image/jpeg;base64,{base64.b64encode(image).decode()}",
        "prompt": str(row["nearest_prompts"]).split(" | ")[0],
        "frames": row["frames"],
        "noted": row["status"] != "ok",
        "reason": row["reason"],
    }


def _percent(share: float, places: int = 0) -> str:
    return f"{100 * share:.{places}f}"


def _points(difference: float, places: int = 0) -> str:
    return f"{100 * difference:+.{places}f}".replace("-", "\u2212")


def _value(value: float | None, unit: str) -> str:
    """Measured value: epochs as they are, shares per cent; None is convergence that was never reached."""
    if value is None:
        return "never"
    return f"{value:.1f}" if unit == "epochs" else _percent(value, 1)


def _difference(value: float | None, unit: str) -> str:
    if value is None:
        return "\u2013"
    return _points(value / 100 if unit == "epochs" else value, 1)


def _source(finding: Mapping[str, Any]) -> str:
    seeds = [f"{finding['seeds']} seeds"] if finding["seeds"] != 1 else []
    made = [finding["made"]] if finding["made"] else []
    return ", ".join([finding["source"], *seeds, f"{finding['subjects']} subjects", *made])


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
