"""What a model has to beat: pixels, motion and landmarks under simple classifiers, as strong as those can honestly be.

Every choice a baseline has - which views, whether to standardise, how many neighbours, how strong a regularisation - is
made for it by subject-wise cross-validation on the training subjects. All see the whole window round the apex and,
where motion counts, the neutral frame; of a scan that is alone in its sequence, landmark baselines see that person's
face at rest instead, found without labels among the person's scans.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch.nn.functional import interpolate

from affect4d.evaluation.embed import window_rows
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.probe import ITERATIONS, NEIGHBOURS, STRENGTHS, Grid, classify_unseen
from affect4d.evaluation.protocols import fold_of
from affect4d.progress import track
from affect4d.prompts.pseudo_labels.at_rest import displacements_from_rest, single_scans
from affect4d.prompts.pseudo_labels.geometry import UNLABELLED, UnmeasurableError, rule_scores
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmarks import LANDMARK_COUNT
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

SIDE = 48
"""Pixels a side that raw-pixel baselines see: fine enough for a mouth, coarse enough to forgive a pixel of pose."""
VARIANCE = 0.99
"""Share of the variance the principal components keep."""

RULES = PseudoLabelOptions()
"""The rules behind the pseudo-labels, as they are by default."""

PictureFeatures = Float32[np.ndarray, "sequences views channels height width"]


def baseline_predictions(
    bank: ViewBank,
    options: InputOptions,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    scan_manifest: pd.DataFrame,
    actions: pd.DataFrame | None = None,
    rules: PseudoLabelOptions = RULES,
) -> pd.DataFrame:
    """Every baseline that has what it needs, in one prediction table.

    Args:
        bank: Pictures.
        options: Which channels the bank has.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Subjects to fit on and to evaluate.
        scan_manifest: Columns ``sequence``, ``subject``, ``frame``, ``landmarks`` (249 canonical millimetres, or null).
        actions: True action weights of a synthetic corpus, one row a frame; None where there are none.
        rules: How the rules behind the pseudo-labels are fitted.

    Raises:
        LeakError: If a test subject or a test sample is among the training ones.
    """
    on_pictures = (pixel_knn, pixel_logistic, *((motion_logistic,) if shows_motion(bank) else ()))
    fits: list[Callable[[], pd.DataFrame]] = [partial(each, bank, options, sequences, split) for each in on_pictures]
    if scan_manifest["landmarks"].notna().any():
        fits.append(partial(landmark_logistic, bank, scan_manifest, sequences, split))
        fits.append(partial(pseudo_label_rules, scan_manifest, sequences, split, rules))
    if actions is not None:
        fits.append(partial(action_oracle, bank, actions, sequences, split))
    return pd.concat([fit() for fit in track(fits, "fitting baselines")], ignore_index=True)


def pixel_knn(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Nearest neighbours on grey pictures: front or all views, Euclidean or cosine, k, as chosen in training."""
    pictures = window_pictures(bank, sequences["sequence"], _channels(options, ("grey",)))
    features, front = pictures.reshape(len(pictures), -1), _columns_of_view(bank, pictures, "front")
    estimator = Pipeline([("views", FunctionTransformer(_columns)), ("classify", KNeighborsClassifier())])
    grid: Grid = {
        "views__kw_args": [{"columns": slice(None)}, {"columns": front}],
        "classify__metric": ["euclidean", "cosine"],
        "classify__n_neighbors": NEIGHBOURS,
    }
    return classify_unseen(estimator, grid, features, sequences, split, "pixel_knn")


def pixel_logistic(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Logistic regression on the principal components of the grey pictures of all views."""
    pictures = window_pictures(bank, sequences["sequence"], _channels(options, ("grey",)))
    return _principal_logistic(pictures, sequences, split, "pixel_logistic")


def motion_logistic(
    bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit
) -> pd.DataFrame:
    """The same on the difference to the neutral frame, grey and shading."""
    channels = _channels(options, ("grey", "shading"))
    pictures = window_pictures(bank, sequences["sequence"], channels, motion=True)
    return _principal_logistic(pictures, sequences, split, "motion_logistic")


def landmark_logistic(
    bank: ViewBank, scan_manifest: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit
) -> pd.DataFrame:
    """Logistic regression on the displacements of all landmarks from the neutral frame: the strong reference."""
    features = window_displacements(bank, landmark_table(scan_manifest), sequences["sequence"])
    alone = sequences["sequence"].isin(single_scans(scan_manifest)["sequence"]).to_numpy()
    features[alone] = displacements_from_rest(scan_manifest).reindex(sequences["sequence"][alone]).to_numpy(np.float32)
    return _standard_logistic(features, sequences, split, "landmark_logistic")


def pseudo_label_rules(
    scan_manifest: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit, rules: PseudoLabelOptions = RULES
) -> pd.DataFrame:
    """The geometric rules behind the pseudo-labels, by themselves: what SMILE-VLM must exceed to have learnt more.

    Every sequence gets the emotion whose pattern it fits best, however poorly; one that cannot be measured gets even
    chances, and so do all where none can. A single scan is measured against its person's face at rest: that person's
    other scans, without their labels, have a part in what is said of it.
    """
    unseen = sequences.iloc[fold_of(sequences, split).test]
    try:
        shares = rule_scores(scan_manifest[list(UNLABELLED)], split.train, rules)
    except UnmeasurableError:
        shares = pd.DataFrame()
    known = shares.reindex(index=unseen["sequence"], columns=list(EXPRESSIONS)).fillna(1 / len(EXPRESSIONS))
    return prediction_table(unseen, known.to_numpy(), "pseudo_labels")


def action_oracle(bank: ViewBank, actions: pd.DataFrame, sequences: pd.DataFrame, split: SubjectSplit) -> pd.DataFrame:
    """Logistic regression on the true action weights: what perfect measurement would reach on a synthetic corpus.

    As they differ from the neutral frame; of a single scan, as they are: a face at rest does nothing.

    Args:
        bank: Says which frames are near the apex.
        actions: One row a frame: ``sequence``, ``frame``, and a column an action; ``subject`` and ``expression`` are
            not looked at.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Subjects to fit on and to evaluate.
    """
    table = actions.set_index(["sequence", "frame"]).select_dtypes("number")
    features = window_displacements(bank, table, sequences["sequence"])
    rows = [bank.rows_of(name) for name in sequences["sequence"]]
    alone = np.array([len(own) == 1 for own in rows])
    only = [(name, int(bank.frame[own[0]])) for name, own in zip(sequences["sequence"], rows, strict=True)]
    features[alone] = table.reindex(only).to_numpy(np.float32)[alone]
    return _standard_logistic(features, sequences, split, "action_oracle")


def shows_motion(bank: ViewBank) -> bool:
    """Whether any sequence has a picture beside its neutral frame; one of single scans has none."""
    return bool((bank.neutral != torch.arange(len(bank.neutral))).any())


def window_pictures(
    bank: ViewBank, sequences: Iterable[str], channels: Sequence[int], motion: bool = False
) -> PictureFeatures:
    """Mean picture of each sequence's apex window, 0…1; with ``motion`` the mean difference to the neutral frame.

    Args:
        bank: Pictures.
        sequences: Names, in the order wanted.
        channels: Positions of the bank's channels to keep.
        motion: Subtract the neutral frame.
    """
    means = []
    for name in sequences:
        rows = torch.tensor(window_rows(bank, name))
        mean = _pictures(bank, rows, channels).mean(dim=0)
        means.append(mean - _pictures(bank, bank.neutral[rows[:1]], channels)[0] if motion else mean)
    return torch.stack(means).numpy()


def landmark_table(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Landmarks by (sequence, frame), one column a coordinate, millimetres; NaN where a scan has none."""
    width = 3 * LANDMARK_COUNT
    missing = np.full(width, np.nan, np.float32)
    rows = [missing if value is None else np.asarray(value, np.float32) for value in _nullable(scan_manifest)]
    index = pd.MultiIndex.from_frame(scan_manifest[["sequence", "frame"]])
    return pd.DataFrame(np.stack(rows), index=index)


def window_displacements(
    bank: ViewBank, measurements: pd.DataFrame, sequences: Iterable[str]
) -> Float32[np.ndarray, "sequences width"]:
    """Mean difference of some measurements between the frames round the apex and the neutral frame.

    Args:
        bank: Says which frames those are.
        measurements: Indexed by (sequence, frame); a frame that is missing, or NaN, drops out of the mean.
        sequences: Names, in the order wanted.

    Returns:
        One row a sequence; NaN where nothing was measured.
    """
    rows = []
    for name in sequences:
        window = window_rows(bank, name)
        frames = [(name, int(bank.frame[row])) for row in window]
        neutral = (name, int(bank.frame[bank.neutral[window[0]]]))
        moved = measurements.reindex(frames).mean() - measurements.reindex([neutral]).iloc[0]
        rows.append(moved.to_numpy(np.float32))
    return np.stack(rows)


def _nullable(scan_manifest: pd.DataFrame) -> list[Sequence[float] | None]:
    """Landmark lists, None where null in whatever spelling a table format has for it."""
    return [None if np.ndim(value) == 0 else value for value in scan_manifest["landmarks"]]


def _pictures(bank: ViewBank, rows: torch.Tensor, channels: Sequence[int]) -> torch.Tensor:
    """Some rows of the bank, some channels, at most ``SIDE`` pixels a side, 0…1."""
    pictures = bank.pictures[rows][:, :, list(channels)].float() / 255
    if pictures.shape[-1] <= SIDE:
        return pictures
    small: torch.Tensor = interpolate(pictures.flatten(0, 1), size=(SIDE, SIDE), mode="area")
    return small.view(*pictures.shape[:3], SIDE, SIDE)


def _channels(options: InputOptions, wanted: Sequence[str]) -> list[int]:
    """Positions of the wanted channels; the first one where the bank has none of them."""
    return [place for place, name in enumerate(options.channels) if name in wanted] or [0]


def _columns(features: np.ndarray, columns: slice) -> np.ndarray:
    return features[:, columns]


def _columns_of_view(bank: ViewBank, pictures: PictureFeatures, view: str) -> slice:
    """Where one view lies in the flattened pictures; everywhere if it was not rendered."""
    if view not in bank.views:
        return slice(None)
    width, place = int(np.prod(pictures.shape[2:])), bank.views.index(view)
    return slice(place * width, (place + 1) * width)


def _principal_logistic(
    pictures: PictureFeatures, sequences: pd.DataFrame, split: SubjectSplit, name: str
) -> pd.DataFrame:
    steps = [("scale", StandardScaler()), ("reduce", PCA(VARIANCE, svd_solver="full")), ("classify", _logistic())]
    grid = {"scale": [StandardScaler(), "passthrough"], "classify__C": STRENGTHS}
    features = pictures.reshape(len(pictures), -1)
    with TemporaryDirectory() as folder:  # keeps the components of a fold: every strength starts from the same ones
        return classify_unseen(Pipeline(steps, memory=folder), grid, features, sequences, split, name)


def _standard_logistic(
    features: Float32[np.ndarray, "sequences width"], sequences: pd.DataFrame, split: SubjectSplit, name: str
) -> pd.DataFrame:
    impute = SimpleImputer(keep_empty_features=True)
    steps = [("impute", impute), ("scale", StandardScaler()), ("classify", _logistic())]
    return classify_unseen(Pipeline(steps), {"classify__C": STRENGTHS}, features, sequences, split, name)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=ITERATIONS)
