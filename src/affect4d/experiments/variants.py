"""The variants that studies compare and cross-validations fit. Data only: one line per variant."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

MethodName = Literal[
    "affect_vlm", "smile_vlm", "simclr", "cross_entropy", "supervised_contrast",
    "landmark_logistic", "pseudo_labels", "motion_logistic", "pixel_logistic", "pixel_knn",
]  # fmt: skip
"""Methods that are trained, then baselines."""
Readout = Literal["prompts", "free_text", "head", "linear_probe", "prompts_and_probe"]
"""How a model predicts: by prompts, by other sentences, by its own head, by a probe, or by prompts and by probe."""


@dataclass(frozen=True)
class Variant:
    """One way of training in a study, or one method of a cross-validation."""

    name: str
    description: str
    method: MethodName
    readout: Readout = "prompts"
    changes: Mapping[str, Any] = field(default_factory=dict)  # where its settings differ from the study's
    tracked: bool = False  # evaluated after every epoch, not only at the end
    against: str | None = None  # its reference: None for the study's first, its own name for none
    series: str = ""  # the curve over numbers of subjects that it is a point of; "" of none
    size: int = 0  # its place on that curve: subjects that are trained on


@dataclass(frozen=True)
class Study:
    """A research question, the conditions that all variants share, and the variants; the first is the reference."""

    name: str
    question: str
    conditions: str
    variants: tuple[Variant, ...]
    own_settings: bool = False  # each method has its own; else all have those of the first variant's method


METHODS: Final[Mapping[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant("affect_vlm", "AffectVLM, by its prompts", "affect_vlm", "prompts"),
        Variant("smile_vlm", "SMILE-VLM, zero-shot and by linear probe", "smile_vlm", "prompts_and_probe"),
        Variant("cross_entropy", "cross-entropy, same encoder, data and schedule", "cross_entropy", "head"),
        Variant("landmark_logistic", "landmarks, logistic regression", "landmark_logistic"),
        Variant("pseudo_labels", "pseudo-label rules alone", "pseudo_labels"),
        Variant("motion_logistic", "motion, logistic regression", "motion_logistic"),
        Variant("pixel_logistic", "pixels, logistic regression", "pixel_logistic"),
        Variant("pixel_knn", "pixels, nearest neighbours", "pixel_knn"),
    )
}  # fmt: skip
"""Methods of a cross-validation."""

_AFFECT = "objectives.affect_vlm."
_SMILE = "objectives.smile_vlm."
_LANGUAGE = ("text", "image.projection", "image.fusion", "temperature")
"""Parts of the model that a training without language does not change."""
_UNAUGMENTED = {
    f"augment.{name}": 0.0
    for name in ("mix", "mirror", "rotation", "scale", "shift", "contrast", "brightness", "head_pose")
}

CONVERGENCE: tuple[Variant, ...] = (
    Variant("affect_vlm", "AffectVLM: L_align + L_mc + L_mt", "affect_vlm", tracked=True),
    Variant("cross_entropy", "cross-entropy", "cross_entropy", "head", tracked=True),
    Variant("class_infonce", "class-aware InfoNCE: L_align alone", "affect_vlm",
        changes={_AFFECT + "pairs": 0.0, _AFFECT + "triplets": 0.0}, tracked=True),
    Variant("supervised_contrast", "supervised contrastive", "supervised_contrast", tracked=True),
    Variant("triplets", "triplets alone: L_mt", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "pairs": 0.0},
        tracked=True),
)  # fmt: skip
"""Same encoder, data, augmentation schedule, optimiser and number of steps; only the loss differs."""

AFFECT_ABLATION: tuple[Variant, ...] = (
    Variant("full", "AffectVLM, full model", "affect_vlm", tracked=True),
    Variant("bare_prompts", "− prompt augmentation: one bare prompt", "affect_vlm", changes={"prompts.augment": False}),
    Variant("unmixed", "− mixing of views between scans", "affect_vlm", changes={"augment.mix": 0.0}),
    Variant("unaugmented", "− mixed view augmentation altogether", "affect_vlm", changes=_UNAUGMENTED),
    Variant("no_align", "− L_align: L_mc + L_mt as printed", "affect_vlm", changes={_AFFECT + "align": 0.0}),
    Variant("no_align_probe", "L_mc + L_mt as printed, by a linear probe", "affect_vlm", "linear_probe",
        {_AFFECT + "align": 0.0}),
    Variant("no_pairs", "− L_mc", "affect_vlm", changes={_AFFECT + "pairs": 0.0}),
    Variant("no_triplets", "− L_mt", "affect_vlm", changes={_AFFECT + "triplets": 0.0}),
    Variant("align_only", "L_align alone", "affect_vlm", changes={_AFFECT + "pairs": 0.0, _AFFECT + "triplets": 0.0},
        tracked=True),
    Variant("pairs_only", "L_mc alone", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "triplets": 0.0}),
    Variant("triplets_only", "L_mt alone", "affect_vlm", changes={_AFFECT + "align": 0.0, _AFFECT + "pairs": 0.0}),
    Variant("fixed_margin", "fixed margin", "affect_vlm", changes={"train.margin_rate": 1e-9}),
    Variant("front", "front view only", "affect_vlm", changes={"views": ("front",)}),
    Variant("sides", "left and right views", "affect_vlm", changes={"views": ("left", "right")}),
    Variant("front_left", "front and left views", "affect_vlm",
        changes={"views": ("front", "left"), "augment.mirror": 0.0}),
    Variant("front_right", "front and right views", "affect_vlm",
        changes={"views": ("front", "right"), "augment.mirror": 0.0}),
    Variant("attention", "attention over views instead of weights", "affect_vlm",
        changes={"model.fusion": "attention"}),
)  # fmt: skip
"""Each part left out in turn; the full model and L_align alone are trials of :data:`CONVERGENCE`, too.

One-sided pairs of views are not mirrored: there is no partner to swap with.
"""

SMILE_ABLATION: tuple[Variant, ...] = (
    Variant("full", "SMILE-VLM, full model", "smile_vlm", "linear_probe"),
    Variant("no_decorrelation", "− L_MV", "smile_vlm", "linear_probe", {_SMILE + "decorrelation": 0.0}),
    Variant("no_redundancy", "− L_CM", "smile_vlm", "linear_probe", {_SMILE + "gamma": 0.0}),
    Variant("no_alignment", "− L_VL: no language at all", "smile_vlm", "linear_probe",
        {_SMILE + "beta": 0.0, _SMILE + "gamma": 0.0}),
    Variant("alignment_only", "L_VL alone", "smile_vlm", "linear_probe",
        {_SMILE + "decorrelation": 0.0, _SMILE + "gamma": 0.0}),
    Variant("strong_decorrelation", "λ of L_MV as strong as at its source's dimension", "smile_vlm", "linear_probe",
        {_SMILE + "off_diagonal": 0.163}),
    Variant("strong_redundancy", "γ of L_CM a hundred times larger", "smile_vlm", "linear_probe",
        {_SMILE + "gamma": 1.0}),
    Variant("simclr", "SimCLR over the views, no language", "simclr", "linear_probe", {"train.freeze": _LANGUAGE}),
    Variant("prototypes", "pseudo-labels of the field's table, not self-taught", "smile_vlm", "linear_probe",
        {"pseudo_labels.geometry.self_training": 0}),
    Variant("clusters", "pseudo-labels of clusters", "smile_vlm", "linear_probe", {"pseudo_labels.source": "cluster"}),
)  # fmt: skip
"""SMILE-VLM's three terms, each left out in turn or stronger, a baseline, and other pseudo-labels.

Barlow Twins has λ = 0.0051 at 8,192 dimensions: λd is 41.8, as that of 0.163 at 256.
"""

REGIMES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "few_labels": ("probe on three labelled subjects", {"labelled_subjects": 3}),
    "one_view": ("tested on the left view alone", {"tested_views": ("left",)}),
    "other_view": ("probe fitted on the front, tested on the left", {
        "fitted_views": ("front",), "tested_views": ("left",)}),
    "unseen_angle": ("trained on front and left, tested on the right", {
        "views": ("front", "left"), "augment.mirror": 0.0, "tested_views": ("right",)}),
    "wide_projector": ("projector four times as wide", {"model.projector_width": 1024}),
    "large_batch": ("batch three times as large", {"train.batch_size": 216}),
    "unaugmented": ("no mixed view augmentation", _UNAUGMENTED),
    "noisy_pseudo_labels": ("pseudo-labels of four clusters", {
        "pseudo_labels.source": "cluster", "pseudo_labels.cluster.count": 4}),
}  # fmt: skip
"""Conditions in which decorrelation and redundancy might matter more; the first three share one training."""

_WITHOUT: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "full": ("SMILE-VLM, full model", {}),
    "no_decorrelation": ("− L_MV", {_SMILE + "decorrelation": 0.0}),
    "no_redundancy": ("− L_CM", {_SMILE + "gamma": 0.0}),
}

SMILE_REGIMES: tuple[Variant, ...] = tuple(
    Variant(f"{regime}_{part}", f"{conditions}: {words}", "smile_vlm", "linear_probe", {**changes, **without},
        against=f"{regime}_full")
    for regime, (conditions, changes) in REGIMES.items()
    for part, (words, without) in _WITHOUT.items()
)  # fmt: skip
"""Two terms of SMILE-VLM left out in each regime, beside the full model of the same regime."""

DISTRIBUTION: tuple[Variant, ...] = (
    Variant("affect_vlm", "AffectVLM in one process", "affect_vlm", tracked=True),
    Variant("two", "in two processes", "affect_vlm", changes={"distributed.processes": 2}),
    Variant("three", "in three processes", "affect_vlm", changes={"distributed.processes": 3}),
)  # fmt: skip
"""One training, in one or several processes. The first is the first of :data:`CONVERGENCE`, and its trial is shared."""

LABEL_EFFICIENCY: tuple[Variant, ...] = tuple(
    variant
    for count in (3, 5, 10)
    for variant in (
        Variant(f"smile_{count}", f"SMILE-VLM, then a linear probe on {count} labelled subjects", "smile_vlm",
            "linear_probe", {"labelled_subjects": count}, against=f"smile_{count}"),
        Variant(f"scratch_{count}", f"cross-entropy from scratch on {count} labelled subjects", "cross_entropy", "head",
            {"labelled_subjects": count}, against=f"smile_{count}"),
    )
)  # fmt: skip
"""Self-supervised training on all subjects and a probe on a few labelled ones, against those few alone."""

FINE_TUNING: tuple[Variant, ...] = (
    Variant("start", "the start as it is", "affect_vlm", changes={"untrained": True}, series="fine-tuned"),
    *(
        variant
        for count in (3, 5, 10, 20, 40)
        for variant in (
            Variant(f"tuned_{count}", f"AffectVLM fine-tuned on {count} labelled subjects", "affect_vlm",
                changes={"labelled_subjects": count}, against=f"tuned_{count}", series="fine-tuned",
                size=count),
            Variant(f"scratch_{count}", f"AffectVLM from scratch on {count} labelled subjects", "affect_vlm",
                changes={"labelled_subjects": count, "start": None}, against=f"tuned_{count}",
                series="from scratch", size=count),
        )
    ),
)  # fmt: skip
"""A trained model (``train.start_from``) fine-tuned on a few labelled subjects, against training on those few alone."""

ADAPTATION: tuple[Variant, ...] = (
    Variant("adapted", "SMILE-VLM adapted without labels", "smile_vlm"),
    Variant("start", "the start as it is", "smile_vlm", changes={"untrained": True}),
    Variant("scratch", "SMILE-VLM from scratch, without labels", "smile_vlm", changes={"start": None}),
)  # fmt: skip
"""A trained SMILE-VLM (``train.start_from``) trained further on all subjects without labels; answers by prompts."""

_SCALED: Final[tuple[tuple[str, str, MethodName, Readout], ...]] = (
    ("affect_vlm", "AffectVLM", "affect_vlm", "prompts"),
    ("smile_probe", "SMILE-VLM, linear probe", "smile_vlm", "linear_probe"),
    ("smile_zero_shot", "SMILE-VLM, zero-shot", "smile_vlm", "prompts"),
    ("cross_entropy", "cross-entropy", "cross_entropy", "head"),
    ("landmarks", "landmarks, logistic regression", "landmark_logistic", "prompts"),
)
_SIZES: Final = (20, 40, 80, 160, 320, 640, 1280, 2560)

SCALE: tuple[Variant, ...] = tuple(
    Variant(f"{name}_{size}", f"{words}, {size} subjects", method, readout,
        {"training_subjects": size, "train.samples_per_sequence": max(4, 400 // size)},
        against=f"affect_vlm_{size}", series=words, size=size)
    for size in _SIZES
    for name, words, method, readout in _SCALED
)  # fmt: skip
"""Training on ever more subjects; those of a smaller number are among those of a larger one."""

SUPERVISION: tuple[Variant, ...] = (
    Variant("smile_vlm", "SMILE-VLM, linear probe", "smile_vlm", "linear_probe"),
    Variant("cross_entropy", "cross-entropy on true labels", "cross_entropy", "head"),
    Variant("pseudo_cross_entropy", "cross-entropy on pseudo-labels", "cross_entropy", "head",
        {"labels": "pseudo"}),
    Variant("untrained", "untrained encoder, linear probe", "smile_vlm", "linear_probe", {"untrained": True}),
    Variant("zero_shot", "SMILE-VLM, zero-shot by its prompts", "smile_vlm", "prompts"),
    Variant("free_text", "SMILE-VLM, zero-shot by other sentences", "smile_vlm", "free_text"),
)  # fmt: skip
"""SMILE-VLM beside supervised training, beside training on its own pseudo-labels, and by language alone."""

STUDIES: Final[Mapping[str, Study]] = {
    study.name: study
    for study in (
        Study("convergence", "Does AffectVLM's loss converge sooner?",
            "One encoder, one augmentation schedule, one optimiser, as many steps; only the loss differs.",
            CONVERGENCE),
        Study("ablation", "Does each part of AffectVLM improve accuracy?",
            "AffectVLM with one part left out in turn; everything else stays.", AFFECT_ABLATION),
        Study("smile_ablation", "Does each term of SMILE-VLM improve accuracy?",
            "SMILE-VLM with one term left out in turn, by a linear probe.", SMILE_ABLATION),
        Study("smile_regimes", "Where do decorrelation and redundancy improve accuracy?",
            "SMILE-VLM with and without each of the two, by a linear probe; each regime by itself.", SMILE_REGIMES),
        Study("distribution", "Does distributed training change anything but the time?",
            "One model, one schedule, one batch size; one process takes the steps, or several share each. Whether "
            "they end within two points of each other is tested in the report's table of claims.", DISTRIBUTION),
        Study("supervision", "How near does SMILE-VLM come to supervised training?",
            "One encoder, one augmentation schedule, one optimiser; no label, pseudo-labels or true labels.",
            SUPERVISION),
        Study("label_efficiency", "Are few labels worth more after SMILE-VLM?",
            "One encoder, one optimiser, as many steps; the same few subjects are labelled, the same others tested.",
            LABEL_EFFICIENCY),
        Study("fine_tuning", "Is a trained model worth more than a fresh one, with few labelled subjects?",
            "One encoder, one optimiser, as many steps; the same few subjects are labelled, the same others tested. "
            "The start was trained on another corpus; its learning rate is lower.", FINE_TUNING),
        Study("adaptation", "Does SMILE-VLM adapt to a corpus without its labels?",
            "Zero-shot by prompts; the start was trained on another corpus.", ADAPTATION),
        Study("scale", "How does accuracy grow with the number of training subjects?",
            "Each method with its own parameters. Four samples of each sequence an epoch; with fewer than a hundred "
            "subjects more, so that each training takes at least the steps of a hundred.", SCALE, own_settings=True),
    )
}  # fmt: skip


def study_named(name: str, variants: tuple[str, ...] = ()) -> Study:
    """A study with all its variants, or the first, those named and their references; a ValueError lists the known."""
    if name not in STUDIES:
        raise ValueError(f"There is no study {name!r}; known studies: {', '.join(STUDIES)}.")
    study = STUDIES[name]
    unknown = sorted(set(variants) - {variant.name for variant in study.variants})
    if unknown:
        known = ", ".join(variant.name for variant in study.variants)
        raise ValueError(f"Study {name!r} has no variant {', '.join(unknown)}; it has {known}.")
    compared = {variant.against for variant in study.variants if variant.name in variants}
    wanted = (
        {study.variants[0].name, *variants, *compared} if variants else {variant.name for variant in study.variants}
    )
    return replace(study, variants=tuple(variant for variant in study.variants if variant.name in wanted))
