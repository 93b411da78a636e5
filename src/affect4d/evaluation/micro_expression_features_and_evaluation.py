"""Micro-expression recognition by leaving one subject out, unseen by the classifier and by the encoder behind it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Float64, Int64
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import avg_pool2d, interpolate
from tqdm import tqdm

from affect4d.evaluation.metrics import count_classes, unweighted_f1, unweighted_f1_of, unweighted_recall
from affect4d.evaluation.sequence_embeddings_and_probabilities import ViewModel, set_evaluation_mode
from affect4d.evaluation.significance import PERMUTATIONS, cluster_bootstrap
from affect4d.models.encoders import CompactImageEncoder, ViewEncoder
from affect4d.scans.expression import LABEL_JOINT, MICRO_EXPRESSIONS, split_labels
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import ViewBank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented
from affect4d.views.input_options import InputOptions

CLIP_COLUMNS = ("sequence", "subject", "label", "onset", "apex", "offset")
MOTION_FACTOR = 2.0  # on the motion channels, chosen on training subjects of open-4dmer
SIDE, CELLS = 48, 8
NEIGHBOURS = 1
"""Frames on either side that are averaged with onset and apex, against sensor noise."""

ClipFeatures = Float32[np.ndarray, "clips width"]


def has_clips(sequences: pd.DataFrame) -> bool:
    """Whether a corpus is of micro-expressions: it has their labels, and none of the six posed expressions."""
    return bool(sequences["expression"].isna().all() and not labelled_clips(sequences).empty)


def labelled_clips(sequences: pd.DataFrame) -> pd.DataFrame:
    """Rows with a class, an onset and an apex: :data:`CLIP_COLUMNS`; the last frame stands for a missing offset."""
    classes = sequences["label"].map(split_labels)
    known = classes.map(lambda names: bool(names) and set(names) <= set(MICRO_EXPRESSIONS))
    timed = sequences["onset"].notna() & sequences["apex"].notna()
    return sequences.loc[known & timed, list(CLIP_COLUMNS)].reset_index(drop=True)


def class_targets(labels: "pd.Series[str]") -> torch.Tensor:
    """Labels as ones and zeros, [clips, classes], in the order of ``MICRO_EXPRESSIONS``."""
    return torch.tensor([[float(name in split_labels(label)) for name in MICRO_EXPRESSIONS] for label in labels])


@torch.inference_mode()
def encoder_features(model: ViewModel, bank: ViewBank, options: InputOptions, clips: pd.DataFrame) -> ClipFeatures:
    """Change from onset to apex in the image encoder's output and, of a compact one, in its second stage; every view.

    The images round onset and apex are averaged, and the motion channels multiplied by :data:`MOTION_FACTOR`. Both
    kinds of features have the same share of the total spread over all clips.
    """
    device = set_evaluation_mode(model)
    pairs = (clip_inputs(bank, clip, options, device) for _, clip in clips.iterrows())
    changes = []
    for onset, apex in tqdm(pairs, "embedding clips", len(clips), disable=None, dynamic_ncols=True):
        kinds = _encoder_outputs(model, torch.stack([onset, apex]))
        changes.append([(kind[1] - kind[0]).cpu().float() for kind in kinds])
    kinds = [torch.stack(kind) for kind in zip(*changes, strict=True)]
    scaled = [kind / (kind.std(dim=0, correction=0).mean().clamp(min=1e-12) * kind.shape[1] ** 0.5) for kind in kinds]
    return torch.cat(scaled, dim=1).numpy()


def clip_inputs(
    bank: ViewBank, clip: "pd.Series[Any]", options: InputOptions, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A model's input [views, channels, size, size] at onset, without motion, and at apex, with amplified motion."""
    still = replace(bank, neutral=torch.arange(len(bank)))
    onset, apex = (assemble_unaugmented(still, rows, options, device).mean(dim=0) for rows in _rows_round(bank, clip))
    if options.motion == "none":
        return onset, apex
    axis = 1 if options.motion == "stacked" else 0  # motion is the second half of the channels, or of the views
    levels, _ = apex.chunk(2, dim=axis)
    motion = MOTION_FACTOR * options.motion_gain * (levels - onset.chunk(2, dim=axis)[0])
    return onset, torch.cat([levels, motion], dim=axis)


def _encoder_outputs(model: ViewModel, images: torch.Tensor) -> list[torch.Tensor]:
    """Features of images, a row each: the output, and the second stage of an encoder that has one."""
    outputs = [model.embed_views(images).hidden.flatten(1)]
    image = getattr(model, "image", None)
    if isinstance(image, ViewEncoder) and isinstance(image.tower, CompactImageEncoder):
        seen = image.normalised(images.flatten(0, 1))
        outputs.append(image.tower.second_stage(seen).reshape(len(images), -1))
    return outputs


def difference_features(bank: ViewBank, clips: pd.DataFrame) -> ClipFeatures:
    """Apex minus onset, of every view and channel, 24 pixels a side."""
    pairs = (later - earlier for earlier, later in _onset_and_apex(bank, clips))
    return np.stack([avg_pool2d(change, 2).flatten().numpy() for change in pairs])


def flow_features(bank: ViewBank, clips: pd.DataFrame, channel: int = 0) -> ClipFeatures:
    """TV-L1 optical flow from onset to apex (Zach et al. 2007) in the first view, and its strain, in 8 × 8 cells."""
    return np.stack([_flow(earlier[0, channel], later[0, channel]) for earlier, later in _onset_and_apex(bank, clips)])


def _flow(earlier: torch.Tensor, later: torch.Tensor) -> Float32[np.ndarray, " width"]:
    from skimage.registration import optical_flow_tvl1

    moved = optical_flow_tvl1(earlier.numpy(), later.numpy())  # type: ignore[no-untyped-call]  # [2, rows, columns]
    along = [np.gradient(part) for part in moved]
    strain = np.sqrt(along[0][0] ** 2 + along[1][1] ** 2 + 0.5 * (along[0][1] + along[1][0]) ** 2)
    maps = torch.from_numpy(np.stack([*moved, strain])).float()
    return np.asarray(avg_pool2d(maps, SIDE // CELLS).flatten().numpy(), np.float32)


def _rows_round(bank: ViewBank, clip: "pd.Series[Any]") -> tuple[torch.Tensor, torch.Tensor]:
    """Bank rows round onset and round apex."""
    rows = bank.rows_of(str(clip["sequence"]))
    places = [int((bank.frame[rows] - int(clip[name])).abs().argmin()) for name in ("onset", "apex")]
    onset, apex = (rows[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS + 1] for place in places)
    return onset, apex


def _onset_and_apex(bank: ViewBank, clips: pd.DataFrame) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images round onset and apex, each averaged, [views, channels, 48, 48], 0…1."""
    for _, clip in tqdm(list(clips.iterrows()), "reading onset and apex", disable=None, dynamic_ncols=True):
        onset, apex = (_mean(bank, rows) for rows in _rows_round(bank, clip))
        yield onset, apex


def _mean(bank: ViewBank, rows: torch.Tensor) -> torch.Tensor:
    mean = bank.images[rows].float().mean(dim=0) / 255
    shrunk: torch.Tensor = interpolate(mean, size=(SIDE, SIDE), mode="area")
    return shrunk


MICRO_PROTOCOLS: Mapping[str, bool] = {"multi_label": False, "single_label": True}
"""All clips, each with every class it has; or clips of one class, each given one of all classes."""
THRESHOLD = 0.5  # classes of at least this probability are predicted, and the most likely one in any case
VARIANCE = 0.95  # of the principal components that are kept
LINEAR_C, ENCODER_C = 0.1, 30.0  # scikit-learn's C of the two classifiers

ClassProbabilities = Float32[np.ndarray, "clips classes"]
ClipClassifier = Callable[[ClipFeatures, np.ndarray, ClipFeatures], ClassProbabilities]
"""(features and targets to fit on, features to predict) → probability of each class by itself."""


class MicroScores(TypedDict):
    """Scores from counts over all folds (MEGC), 0…1; ``exact``: all classes right; ``interval``: 95 %, of UF1."""

    uf1: float
    uar: float
    per_class: dict[str, float]
    interval: list[float]
    exact: float
    clips: int
    subjects: int


@dataclass(frozen=True)
class MicroComparison:
    """UF1 of two methods on the same clips (``scores``), their difference, its 95 % interval, and its two-sided p."""

    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p: float
    subjects: int


def evaluate_clips(
    model: ViewModel,
    untrained: ViewModel,
    bank: ViewBank,
    options: InputOptions,
    sequences: pd.DataFrame,
    split: SubjectSplit,
) -> tuple[dict[str, MicroScores], pd.DataFrame]:
    """Evaluate four kinds of features on the test side, one subject left out at a time.

    ``model`` has not seen the test side, not even without labels; it may have started from a model of other subjects.
    Classifiers learn from all but the subject left out. ``untrained`` has random weights.

    Returns:
        Scores by ``features.protocol``, and the predictions of all of them.
    """
    clips = labelled_clips(sequences)
    rng = np.random.default_rng(0)
    methods: dict[str, tuple[ClipFeatures, ClipClassifier]] = {
        "smile_vlm": (encoder_features(model, bank, options, clips), encoder_classifier),
        "untrained_encoder": (encoder_features(untrained, bank, options, clips), encoder_classifier),
        "difference": (difference_features(bank, clips), linear_classifier),
        "optical_flow": (flow_features(bank, clips), linear_classifier),
    }
    scores, tables = {}, []
    for method, (features, classifier) in methods.items():
        bar = tqdm(MICRO_PROTOCOLS.items(), f"leaving one subject out: {method}", disable=None, dynamic_ncols=True)
        for protocol, one_class in bar:
            name = f"{method}.{protocol}"
            table = leave_one_out(classifier, features, clips, split.test, name, one_class=one_class)
            scores[name] = score_clips(table, rng)
            tables.append(table)
    return scores, pd.concat(tables, ignore_index=True)


def encoder_classifier(known: ClipFeatures, targets: np.ndarray, unknown: ClipFeatures) -> ClassProbabilities:
    """A balanced logistic regression per class, of features as they are scaled."""
    rotate = PCA(svd_solver="full")  # the same regression in as many dimensions as there are clips
    train, test = rotate.fit_transform(known), rotate.transform(unknown)
    size = np.sqrt(np.square(train).sum(axis=1).mean()) + 1e-12
    return _class_probabilities(train / size, targets, test / size, ENCODER_C)


def linear_classifier(known: ClipFeatures, targets: np.ndarray, unknown: ClipFeatures) -> ClassProbabilities:
    """Principal components and a balanced logistic regression per class."""
    reduce = make_pipeline(StandardScaler(), PCA(VARIANCE, svd_solver="full"))
    train, test = reduce.fit_transform(known), reduce.transform(unknown)
    return _class_probabilities(train, targets, test, LINEAR_C)


def _class_probabilities(train: np.ndarray, targets: np.ndarray, test: np.ndarray, c: float) -> np.ndarray:
    probabilities = np.tile(targets.mean(axis=0, dtype=np.float32), (len(test), 1))
    for place in np.flatnonzero((probabilities[0] > 0) & (probabilities[0] < 1)):  # constant classes are not fitted
        classify = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        probabilities[:, place] = classify.fit(train, targets[:, place]).predict_proba(test)[:, 1]
    return probabilities


def leave_one_out(
    classifier: ClipClassifier,
    features: ClipFeatures,
    clips: pd.DataFrame,
    unseen: Collection[str],
    model: str,
    *,
    one_class: bool = False,
) -> pd.DataFrame:
    """Predict every clip of each unseen subject by a classifier fitted on all other subjects' clips.

    With ``one_class`` only clips of a single class take part, each predicted as a single one; otherwise several classes
    are joined by ``+``.

    Raises:
        ValueError: If no subject is left to fit on, or none to predict.
    """
    kept = ~clips["label"].str.contains(LABEL_JOINT, regex=False) if one_class else clips["label"].notna()
    table, kept_features = clips[kept.to_numpy()].reset_index(drop=True), features[kept.to_numpy()]
    targets = class_targets(table["label"]).numpy()
    subjects = sorted(set(table["subject"]) & set(unseen))
    if not subjects or table["subject"].nunique() < 2:
        raise ValueError(
            f"Leaving one subject out needs two with clips, one of them unseen; unseen: {subjects or 'none'}."
        )
    parts = []
    for subject in subjects:
        out = (table["subject"] == subject).to_numpy()
        probabilities = classifier(kept_features[~out], targets[~out], kept_features[out])
        parts.append(_predictions(table[out], probabilities, model, one_class=one_class))
    return pd.concat(parts, ignore_index=True)


def score_clips(predictions: pd.DataFrame, generator: np.random.Generator) -> MicroScores:
    """UF1 and UAR of counts summed over all subjects left out."""
    counts = _counts(predictions)
    exact = (predictions["label"].map(_ordered) == predictions["predicted"].map(_ordered)).to_numpy(float)
    each = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"]).clip(lower=1)
    by_subject = _counts_by_subject(predictions)

    def scores(picks: Int64[np.ndarray, "draws clusters"]) -> Float64[np.ndarray, " draws"]:
        return unweighted_f1_of(by_subject[picks].sum(axis=1))

    return {
        "uf1": unweighted_f1(counts),
        "uar": unweighted_recall(counts),
        "per_class": {str(name): float(score) for name, score in each.items()},
        "interval": list(cluster_bootstrap(scores, len(by_subject), generator)),
        "exact": float(exact.mean()),
        "clips": len(predictions),
        "subjects": int(predictions["subject"].nunique()),
    }


def compare_clips(
    first: pd.DataFrame, second: pd.DataFrame, generator: np.random.Generator, permutations: int = PERMUTATIONS
) -> MicroComparison:
    """Compare UF1 of two tables of :func:`leave_one_out` about the same clips; intervals and p are over subjects."""
    if set(first["sequence"]) != set(second["sequence"]) or len(first) != len(second):
        raise ValueError("The two tables are not about the same clips: a paired test has no pairs.")
    counts = np.stack([_counts_by_subject(first), _counts_by_subject(second)])
    one, other = (float(unweighted_f1_of(each.sum(axis=0))) for each in counts)
    subjects = counts.shape[1]

    def differences(picks: Int64[np.ndarray, "draws clusters"]) -> Float64[np.ndarray, " draws"]:
        resampled, others = (unweighted_f1_of(each[picks].sum(axis=1)) for each in counts)
        return np.asarray(resampled - others)

    interval = cluster_bootstrap(differences, subjects, generator)
    swapped = generator.random((permutations, subjects, 1, 1)) < 0.5
    left, right = (np.where(swapped, counts[1 - side], counts[side]).sum(axis=1) for side in (0, 1))
    as_far = np.abs(unweighted_f1_of(left) - unweighted_f1_of(right)) >= abs(one - other) - 1e-12
    p = float((as_far.sum() + 1) / (permutations + 1))
    return MicroComparison((one, other), one - other, interval, p, subjects)


def _counts(predictions: pd.DataFrame) -> pd.DataFrame:
    return count_classes(predictions["label"], predictions["predicted"], MICRO_EXPRESSIONS)


def _counts_by_subject(predictions: pd.DataFrame) -> Float64[np.ndarray, "subjects classes counts"]:
    return np.stack([_counts(rows).to_numpy(float) for _, rows in predictions.groupby("subject")])


def _predictions(rows: pd.DataFrame, probabilities: np.ndarray, model: str, *, one_class: bool) -> pd.DataFrame:
    predicted = [_predicted_label(row, one_class=one_class) for row in probabilities]
    columns: dict[str, Any] = {f"prob_{name}": probabilities[:, place] for place, name in enumerate(MICRO_EXPRESSIONS)}
    table = rows[["sequence", "subject", "label"]].reset_index(drop=True).assign(predicted=predicted, **columns)
    table.insert(0, "model", model)
    return table


def _predicted_label(probabilities: np.ndarray, *, one_class: bool) -> str:
    likeliest = probabilities == probabilities.max()
    chosen = likeliest if one_class else (probabilities >= THRESHOLD) | likeliest
    names = [name for name, is_chosen in zip(MICRO_EXPRESSIONS, chosen, strict=True) if is_chosen]
    return LABEL_JOINT.join(names[:1] if one_class else names)


def _ordered(label: str) -> str:
    return LABEL_JOINT.join(sorted(label.split(LABEL_JOINT)))
