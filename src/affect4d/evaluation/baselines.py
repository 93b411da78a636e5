"""Baselines: simple classifiers on pixels, motion and landmarks, the pseudo-label rules, and the true action units.

Every hyperparameter of a baseline (views, standardisation, neighbours, regularisation) is chosen by subject-wise
cross-validation on the training subjects. Each is fitted anew in every setting of :data:`SETTINGS`, which the bank's
windows and neutral frames express. For a scan alone in its sequence, landmark baselines use the subject's neutral
reference, found without labels among the subject's scans; in the setting ``"single_scan"`` no baseline has a neutral.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch.nn.functional import interpolate
from tqdm import tqdm

from affect4d.evaluation.face_api_expression_reader import read_expressions, reader_version
from affect4d.evaluation.frozen_features import (
    ITERATIONS,
    NEIGHBOURS,
    STRENGTHS,
    Features,
    ParameterGrid,
    classify_unseen,
    rows_of_some_subjects,
)
from affect4d.evaluation.prediction_tables_and_leak_checks import (
    Setting,
    check_no_copies,
    labelled_rows,
    prediction_table,
)
from affect4d.evaluation.sequence_embeddings_and_probabilities import window_rows
from affect4d.pseudo_labels.landmark_movement import displacements_from_neutral, is_tracked, single_scans, to_points
from affect4d.pseudo_labels.landmark_pseudo_labels import UnmeasurableError, rule_probabilities
from affect4d.pseudo_labels.options import UNLABELLED, PseudoLabelOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmark_names import LANDMARK_COUNT
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import REFERENCE, ViewBank
from affect4d.views.input_options import InputOptions

SIDE = 48
"""Pixels a side of the pixel baselines: fine enough for a mouth, coarse enough to forgive a pixel of misalignment."""
COMPONENTS = 400  # principal components of images, at most
SEQUENCES_AT_ONCE = 256  # whose images are in memory

RULES = PseudoLabelOptions()

ImageFeatures = Float32[np.ndarray, "sequences views channels height width"]


def baseline_predictions(
    bank: ViewBank,
    options: InputOptions,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    scan_manifest: pd.DataFrame,
    actions: pd.DataFrame | None = None,
    rules: PseudoLabelOptions = RULES,
    blendshapes: pd.DataFrame | None = None,
    setting: Setting = "sequence",
) -> pd.DataFrame:
    """Prediction table of every baseline whose inputs exist.

    Args:
        bank: In the ``setting``: :meth:`affect4d.evaluation.evaluate_models.Evaluator.at`.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        scan_manifest: Columns ``sequence``, ``subject``, ``frame``, ``landmarks`` (249 canonical millimetres, or null).
        actions: True action-unit weights of a synthetic corpus, one row per frame; None for another corpus.
        blendshapes: Blendshape scores, columns ``sequence``, ``frame`` and one a blendshape; None without a detector.
    """
    on_images = (pixel_knn, pixel_logistic, *((motion_logistic,) if shows_motion(bank) else ()))
    fits: list[Callable[[], pd.DataFrame]] = [partial(each, bank, options, sequences, split) for each in on_images]
    if scan_manifest["landmarks"].notna().any():
        fits.append(partial(landmark_logistic, bank, scan_manifest, sequences, split, setting))
        shown = scan_manifest if setting == "sequence" else apex_scans(bank, scan_manifest, split, setting)
        fits.append(partial(pseudo_label_rules, shown, sequences, split, rules))
    if reader_version():
        fits.append(partial(face_api, bank, options, sequences, split))
    if blendshapes is not None and blendshapes.notna().all(axis=1).any():
        fits.append(partial(blendshape_logistic, bank, blendshapes, sequences, split))
    if actions is not None:
        fits.append(partial(action_oracle, bank, actions, sequences, split))
    bar = tqdm(fits, "fitting baselines", disable=None, dynamic_ncols=True)
    tables: list[pd.DataFrame] = [fit() for fit in bar]
    return pd.concat(tables, ignore_index=True)


def pixel_knn(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Nearest neighbours on grey images' components; views (front or all), metric and k are cross-validated."""
    front = bank.views.index("front") if "front" in bank.views else 0
    alone = FunctionTransformer(_one_view, kw_args={"views": len(bank.views), "view": front})
    grey, prepared = _channels(options, ("grey",)), (FunctionTransformer(), alone)
    parts = principal_components(bank, sequences, split, grey, prepared)
    grid = {"classify__metric": ["euclidean", "cosine"], "classify__n_neighbors": NEIGHBOURS}
    return _classify_components(parts, KNeighborsClassifier(), grid, sequences, split, "pixel_knn")


def pixel_logistic(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Logistic regression on the principal components of the grey images of all views."""
    parts = principal_components(bank, sequences, split, _channels(options, ("grey",)))
    return _classify_components(parts, _logistic(), {"classify__C": STRENGTHS}, sequences, split, "pixel_logistic")


def motion_logistic(
    bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit
) -> pd.DataFrame:
    """Logistic regression on the principal components of the difference to the neutral frame, grey and shading."""
    parts = principal_components(bank, sequences, split, _channels(options, ("grey", "shading")), motion=True)
    return _classify_components(parts, _logistic(), {"classify__C": STRENGTHS}, sequences, split, "motion_logistic")


def landmark_logistic(
    bank: ViewBank,
    scan_manifest: pd.DataFrame,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    setting: Setting = "sequence",
) -> pd.DataFrame:
    """Logistic regression on the displacements of all landmarks from the neutral frame: the strongest baseline.

    On the canonical landmarks themselves, in the setting ``"single_scan"``.
    """
    features = window_displacements(bank, landmark_table(scan_manifest), sequences["sequence"])
    if setting != "single_scan":
        alone = sequences["sequence"].isin(single_scans(scan_manifest)["sequence"]).to_numpy()
        moved = displacements_from_neutral(scan_manifest).reindex(sequences["sequence"][alone])
        features[alone] = moved.to_numpy(np.float32)
    return _standard_logistic(features, sequences, split, "landmark_logistic")


def blendshape_logistic(
    bank: ViewBank, blendshapes: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit
) -> pd.DataFrame:
    """Logistic regression on blendshape scores since the neutral frame; on the scores of a scan that is its own."""
    features = window_displacements(bank, blendshapes.set_index(["sequence", "frame"]), sequences["sequence"])
    return _standard_logistic(features, sequences, split, "blendshape_logistic")


def face_api(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """face-api's expression network on the front view: as it is, and with logistic regression on its logits."""
    reading = read_expressions(bank, options, sequences, split)
    test = labelled_rows(sequences, split).test
    as_it_is = prediction_table(sequences.iloc[test], reading.probabilities()[test], "face_api")
    features = np.hstack([reading.shown, reading.moved])
    fitted = _standard_logistic(features, sequences, split, "face_api_logistic")
    return pd.concat([as_it_is, fitted], ignore_index=True)


def pseudo_label_rules(
    scan_manifest: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit, rules: PseudoLabelOptions = RULES
) -> pd.DataFrame:
    """The geometric pseudo-label rules alone, which SMILE-VLM must exceed; uniform where nothing can be measured."""
    unseen = sequences.iloc[labelled_rows(sequences, split).test]
    try:
        probabilities = rule_probabilities(scan_manifest[list(UNLABELLED)], split.train, rules)
    except UnmeasurableError:
        probabilities = pd.DataFrame()
    known = probabilities.reindex(index=unseen["sequence"], columns=list(EXPRESSIONS)).fillna(1 / len(EXPRESSIONS))
    return prediction_table(unseen, known.to_numpy(), "pseudo_labels")


def action_oracle(bank: ViewBank, actions: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Logistic regression on true action-unit weights (since neutral; of single scans absolute): the upper bound."""
    table = actions.set_index(["sequence", "frame"]).select_dtypes("number")
    features = window_displacements(bank, table, sequences["sequence"])
    return _standard_logistic(features, sequences, split, "action_oracle")


def shows_motion(bank: ViewBank) -> bool:
    """Whether any sequence has an image beside its neutral frame; single scans have none."""
    return bool((bank.neutral != torch.arange(len(bank.neutral))).any())


def window_images(
    bank: ViewBank, sequences: Iterable[str], channels: Sequence[int], motion: bool = False
) -> ImageFeatures:
    """Mean image of each sequence's apex window, 0…1; with ``motion`` its mean difference to the neutral frame."""
    means = []
    for name in sequences:
        rows = window_rows(bank, name)
        mean = bank.images[rows][:, :, list(channels)].float().mean(dim=0)
        if motion:
            mean = mean - bank.images[int(bank.neutral[rows[0]])][:, list(channels)]
        means.append(_shrink(mean / 255))
    return torch.stack(means).numpy()


def principal_components(
    bank: ViewBank,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    channels: Sequence[int],
    preparations: Sequence[Any] = (StandardScaler(), FunctionTransformer()),
    *,
    motion: bool = False,
) -> list[Features]:
    """Components of each sequence's :func:`window_images` after each preparation, found on some training subjects.

    The first component of each has unit variance. At most :data:`SEQUENCES_AT_ONCE` sequences' images, and those that
    the components are found on, are in memory.

    Raises:
        LeakError: If a test sequence has the images of a training sequence.
    """
    names, rows = sequences["sequence"].to_numpy(), labelled_rows(sequences, split)
    some = rows.train[rows_of_some_subjects(sequences["subject"].to_numpy()[rows.train])]
    images = window_images(bank, names[some], channels, motion).reshape(len(some), -1)
    reducers = [_fit_components(prepare, images) for prepare in preparations]
    parts, digests = [], []
    for start in range(0, len(names), SEQUENCES_AT_ONCE):
        chunk = names[start : start + SEQUENCES_AT_ONCE]
        images = window_images(bank, chunk, channels, motion).reshape(len(chunk), -1)
        parts.append([reducer.transform(images) for reducer in reducers])
        digests.append(_digests(images))
    check_no_copies(np.concatenate(digests), sequences, rows)
    components = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return [part / max(part[some, 0].std(), 1e-12) for part in components]


def _fit_components(prepare: Any, images: Features) -> Pipeline:
    count = min(COMPONENTS, *prepare.fit_transform(images).shape)
    return make_pipeline(prepare, PCA(count, svd_solver="randomized", random_state=0)).fit(images)


def _digests(features: Features) -> Features:
    """Eight numbers a row that tell rows apart; zeros for a constant row."""
    each = [hashlib.blake2b(row, digest_size=8).digest() if np.ptp(row) else bytes(8) for row in features]
    return np.frombuffer(b"".join(each), np.uint8).reshape(len(features), -1).astype(np.float32)


def landmark_table(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Landmarks by (sequence, frame), one column per coordinate, millimetres; NaN where a scan has none."""
    width = 3 * LANDMARK_COUNT
    missing = np.full(width, np.nan, np.float32)
    values = scan_manifest["landmarks"]  # null as a table format writes it: None, NaN, NA
    rows = [missing if np.ndim(value) == 0 else np.asarray(value, np.float32) for value in values]
    index = pd.MultiIndex.from_frame(scan_manifest[["sequence", "frame"]])
    return pd.DataFrame(np.stack(rows), index=index)


def window_displacements(
    bank: ViewBank, measurements: pd.DataFrame, sequences: Iterable[str]
) -> Float32[np.ndarray, "sequences width"]:
    """Mean difference of measurements (by sequence and frame) between apex window and neutral; NaN is left out.

    The measurements themselves, of a scan that is its own neutral, or whose neutral is a reference image.
    """
    rows = []
    for name in sequences:
        window = window_rows(bank, name)
        shown = measurements.reindex([(name, int(bank.frame[row])) for row in window]).mean()
        neutral = int(bank.neutral[window[0]])
        if window != [neutral] and bank.sequence[neutral] != REFERENCE:
            shown = shown - measurements.reindex([(name, int(bank.frame[neutral]))]).iloc[0]
        rows.append(shown.to_numpy(np.float32))
    return np.stack(rows)


def apex_scans(bank: ViewBank, scan_manifest: pd.DataFrame, split: SubjectSplit, setting: Setting) -> pd.DataFrame:
    """Two rows a sequence of the scan manifest: the neutral scan, and the apex scan of a bank in some setting.

    In the setting ``"single_scan"`` the neutral's landmarks are the median of the training subjects' first scans. A
    scan alone in its sequence has one row in any other setting.
    """
    windows = {name: window_rows(bank, name)[0] for name in bank.sequences}
    apex = [(name, int(bank.frame[row])) for name, row in windows.items()]
    neutral = [(name, int(bank.frame[bank.neutral[row]])) for name, row in windows.items()]
    scans = scan_manifest.set_index(["sequence", "frame"], drop=False)
    shown = scans[scans.index.isin(apex)]
    if setting != "single_scan":
        return scans[scans.index.isin({*apex, *neutral})].reset_index(drop=True)
    typical: Any = [_typical_landmarks(scan_manifest, split)] * len(shown)
    before = shown.assign(frame=shown["frame"] - 1, landmarks=typical)
    return pd.concat([before, shown], ignore_index=True)


def _typical_landmarks(scan_manifest: pd.DataFrame, split: SubjectSplit) -> list[float] | None:
    trained = scan_manifest[scan_manifest["subject"].isin(split.train)].sort_values("frame")
    tracked = [to_points(one) for one in trained.drop_duplicates("sequence")["landmarks"] if is_tracked(one)]
    return np.nanmedian(np.stack(tracked), axis=0).ravel().tolist() if tracked else None


def _shrink(images: torch.Tensor) -> torch.Tensor:
    small: torch.Tensor = interpolate(images, size=(SIDE, SIDE), mode="area") if images.shape[-1] > SIDE else images
    return small


def _channels(options: InputOptions, wanted: Sequence[str]) -> list[int]:
    return [place for place, name in enumerate(options.channels) if name in wanted] or [0]


def _one_view(images: np.ndarray, views: int, view: int) -> np.ndarray:
    return images.reshape(len(images), views, -1)[:, view]


def _columns(features: np.ndarray, columns: slice) -> np.ndarray:
    return features[:, columns]


def _classify_components(
    parts: Sequence[Features],
    classifier: Any,
    grid: ParameterGrid,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    name: str,
) -> pd.DataFrame:
    """Predictions by one of several sets of components, cross-validated with the classifier's parameters."""
    places = np.cumsum([0, *(part.shape[1] for part in parts)])
    columns = [{"columns": slice(*ends)} for ends in itertools.pairwise(places)]
    steps = [("components", FunctionTransformer(_columns)), ("classify", classifier)]
    choices = {"components__kw_args": columns, **grid}
    return classify_unseen(Pipeline(steps), choices, np.hstack(parts), sequences, split, name)


def _standard_logistic(features: Features, sequences: pd.DataFrame, split: SubjectSplit, name: str) -> pd.DataFrame:
    impute = SimpleImputer(keep_empty_features=True)
    steps = [("impute", impute), ("scale", StandardScaler()), ("classify", _logistic())]
    return classify_unseen(Pipeline(steps), {"classify__C": STRENGTHS}, features, sequences, split, name)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=ITERATIONS)
