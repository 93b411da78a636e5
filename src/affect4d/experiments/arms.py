"""The studies and their arms. Data only: one line an arm; the first is what the others are compared with."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from affect4d.experiments.setting import Arm, Study

_AFFECT = "objectives.affect_vlm."
_SMILE = "objectives.smile_vlm."
_LANGUAGE = ("text", "image.projection", "image.fusion", "temperature")
"""What a training without language leaves as it is."""
_UNAUGMENTED = {
    f"augment.{name}": 0.0
    for name in ("mix", "mirror", "rotation", "scale", "shift", "contrast", "brightness", "turned")
}

CONVERGENCE: tuple[Arm, ...] = (
    Arm("affect_vlm", "AffectVLM: L_align + L_mc + L_mt", "affect_vlm"),
    Arm("cross_entropy", "cross-entropy", "cross_entropy", "head"),
    Arm("class_infonce", "class-aware InfoNCE: L_align alone", "affect_vlm",
        changes={_AFFECT + "pairs": 0.0, _AFFECT + "triplets": 0.0}),
    Arm("supervised_contrast", "supervised contrastive", "supervised_contrast"),
    Arm("triplets", "triplets alone: L_mt", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "pairs": 0.0}),
)  # fmt: skip
"""Same tower, data, plan, optimiser and number of steps: does AffectVLM's loss converge sooner?"""

AFFECT_ABLATION: tuple[Arm, ...] = (
    Arm("whole", "AffectVLM, whole", "affect_vlm"),
    Arm("bare_prompts", "− prompt augmentation: one bare prompt", "affect_vlm", changes={"prompts.augment": False}),
    Arm("unmixed", "− mixing of views between scans", "affect_vlm", changes={"augment.mix": 0.0}),
    Arm("unaugmented", "− mixed view augmentation altogether", "affect_vlm", changes=_UNAUGMENTED),
    Arm("no_align", "− L_align: L_mc + L_mt as printed", "affect_vlm", changes={_AFFECT + "align": 0.0}),
    Arm("no_pairs", "− L_mc", "affect_vlm", changes={_AFFECT + "pairs": 0.0}),
    Arm("no_triplets", "− L_mt", "affect_vlm", changes={_AFFECT + "triplets": 0.0}),
    Arm("align_only", "L_align alone", "affect_vlm", changes={_AFFECT + "pairs": 0.0, _AFFECT + "triplets": 0.0}),
    Arm("pairs_only", "L_mc alone", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "triplets": 0.0}),
    Arm("triplets_only", "L_mt alone", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "pairs": 0.0}),
    Arm("fixed_margin", "fixed margin", "affect_vlm", changes={"train.margin_rate": 1e-9}),
    Arm("front", "front view only", "affect_vlm", changes={"views": ("front",)}),
    Arm("sides", "left and right views", "affect_vlm", changes={"views": ("left", "right")}),
    Arm("front_left", "front and left views", "affect_vlm",
        changes={"views": ("front", "left"), "augment.mirror": 0.0}),
    Arm("front_right", "front and right views", "affect_vlm",
        changes={"views": ("front", "right"), "augment.mirror": 0.0}),
    Arm("attention", "attention over views instead of weights", "affect_vlm", changes={"model.fusion": "attention"}),
)  # fmt: skip
"""Each part left out in turn: does it earn its place? One-sided pairs of views are not mirrored: no partner to swap."""

SMILE_ABLATION: tuple[Arm, ...] = (
    Arm("whole", "SMILE-VLM, whole", "smile_vlm", "linear_probe"),
    Arm("no_decorrelation", "− L_MV", "smile_vlm", "linear_probe", {_SMILE + "decorrelation": 0.0}),
    Arm("no_redundancy", "− L_CM", "smile_vlm", "linear_probe", {_SMILE + "gamma": 0.0}),
    Arm("no_alignment", "− L_VL: no language at all", "smile_vlm", "linear_probe",
        {_SMILE + "beta": 0.0, _SMILE + "gamma": 0.0}),
    Arm("alignment_only", "L_VL alone", "smile_vlm", "linear_probe",
        {_SMILE + "decorrelation": 0.0, _SMILE + "gamma": 0.0}),
    Arm("simclr", "SimCLR over the views, no language", "simclr", "linear_probe", {"train.freeze": _LANGUAGE}),
    Arm("prototypes", "pseudo-labels of the field's table, not self-taught", "smile_vlm", "linear_probe",
        {"pseudo_labels.geometry.self_training": 0}),
    Arm("clusters", "pseudo-labels of clusters", "smile_vlm", "linear_probe", {"pseudo_labels.source": "cluster"}),
)  # fmt: skip
"""The three terms of SMILE-VLM, each left out in turn, a peer, and other pseudo-labels; by linear probe. The source
``zero_shot`` needs weights of its own: ``pseudo_labels.source=zero_shot`` sets the whole study on it."""

REGIMES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "few_labels": ("the probe knows three people's labels", {"labelled_subjects": 3}),
        "one_view": ("asked by the left view alone", {"asked_views": ("left",)}),
        "other_view": ("probe fitted on the front, asked by the left", {
            "fitted_views": ("front",), "asked_views": ("left",)}),
        "unseen_angle": ("trained on front and left, asked by the right", {
            "views": ("front", "left"), "augment.mirror": 0.0, "asked_views": ("right",)}),
        "wide_projector": ("projector four times as wide", {"model.projector_width": 1024}),
        "large_batch": ("batch three times as large", {"train.batch_size": 216}),
        "unaugmented": ("no mixed view augmentation", _UNAUGMENTED),
        "poor_names": ("pseudo-labels of four clusters", {
            "pseudo_labels.source": "cluster", "pseudo_labels.cluster.count": 4}),
    }
)  # fmt: skip
"""Where decorrelation and redundancy might show more than on plain sequences: how a probe is asked, or what is trained.
Models of the first three are trained once."""

_WITHOUT: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "whole": ("SMILE-VLM, whole", {}),
        "no_decorrelation": ("− L_MV", {_SMILE + "decorrelation": 0.0}),
        "no_redundancy": ("− L_CM", {_SMILE + "gamma": 0.0}),
    }
)

SMILE_REGIMES: tuple[Arm, ...] = tuple(
    Arm(f"{regime}_{part}", f"{conditions}: {words}", "smile_vlm", "linear_probe", {**changes, **without},
        against=f"{regime}_whole")
    for regime, (conditions, changes) in REGIMES.items()
    for part, (words, without) in _WITHOUT.items()
)  # fmt: skip
"""Two terms of SMILE-VLM left out in each regime, beside the whole of the same regime."""

DISTRIBUTION: tuple[Arm, ...] = (
    Arm("affect_vlm", "AffectVLM in one process", "affect_vlm"),
    Arm("two", "in two processes", "affect_vlm", changes={"distributed.processes": 2}, watched=False),
    Arm("three", "in three processes", "affect_vlm", changes={"distributed.processes": 3}, watched=False),
)  # fmt: skip
"""One training, alone or shared out. The first is the first of :data:`CONVERGENCE`, and is not trained again."""

LABEL_EFFICIENCY: tuple[Arm, ...] = tuple(
    arm
    for count in (3, 5, 10)
    for arm in (
        Arm(f"smile_{count}", f"SMILE-VLM, then a linear probe on {count} labelled subjects", "smile_vlm",
            "linear_probe", {"labelled_subjects": count}, against=f"smile_{count}"),
        Arm(f"scratch_{count}", f"cross-entropy from scratch on {count} labelled subjects", "cross_entropy", "head",
            {"labelled_subjects": count}, against=f"smile_{count}"),
    )
)  # fmt: skip
"""Learning from everybody without labels and from a few with them, against the few alone, for as many steps."""

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        study.name: study
        for study in (
            Study(
                "convergence",
                "Does AffectVLM's loss converge sooner?",
                "One tower, one plan, one optimiser, as many steps; only the loss differs.",
                CONVERGENCE,
            ),
            Study(
                "ablation",
                "Does each part of AffectVLM earn its place?",
                "AffectVLM with one part left out in turn; everything else stays.",
                AFFECT_ABLATION,
            ),
            Study(
                "smile_ablation",
                "Does each term of SMILE-VLM earn its place?",
                "SMILE-VLM with one term left out in turn, read by a linear probe.",
                SMILE_ABLATION,
            ),
            Study(
                "smile_regimes",
                "Where do decorrelation and redundancy earn their place?",
                "SMILE-VLM with and without each of the two, read by a linear probe; each regime by itself.",
                SMILE_REGIMES,
            ),
            Study(
                "distribution",
                "Does distributed training change anything but the time?",
                "One model, one plan, one batch; one process takes its steps, or several share each of them. Whether "
                "they end within five points of each other is judged in the report's table of claims.",
                DISTRIBUTION,
            ),
            Study(
                "label_efficiency",
                "Are few labels worth more after SMILE-VLM?",
                "One tower, one optimiser, as many steps; the same few are labelled, the same others are asked about.",
                LABEL_EFFICIENCY,
            ),
        )
    }
)


def study_named(name: str, arms: tuple[str, ...] = ()) -> Study:
    """A study with all its arms, or with the first, those named and what each of those is compared with.

    Raises:
        ValueError: If the study or an arm is unknown; the message lists the known ones.
    """
    if name not in STUDIES:
        raise ValueError(f"There is no study {name!r}; known studies: {', '.join(STUDIES)}.")
    study = STUDIES[name]
    strangers = sorted(set(arms) - {arm.name for arm in study.arms})
    if strangers:
        known = ", ".join(arm.name for arm in study.arms)
        raise ValueError(f"Study {name!r} has no arm {', '.join(strangers)}; it has {known}.")
    compared = {arm.against for arm in study.arms if arm.name in arms}
    wanted = {study.arms[0].name, *arms, *compared} if arms else {arm.name for arm in study.arms}
    return replace(study, arms=tuple(arm for arm in study.arms if arm.name in wanted))
