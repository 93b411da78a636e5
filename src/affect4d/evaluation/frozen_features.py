"""Evaluation of frozen features (probe, neighbours, few-shot, retrieval, t-SNE), fitted by training subjects alone."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int64, Shaped
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from affect4d.evaluation.prediction_tables_and_leak_checks import (
    LabelledRows,
    check_no_copies,
    labelled_rows,
    prediction_table,
)
from affect4d.evaluation.significance import percentile_interval
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit

FOLDS = 5
STRENGTHS: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation strengths C tried for logistic regression."""
NEIGHBOURS: tuple[int, ...] = (1, 3, 5, 9, 15, 25)
ITERATIONS = 2000
SEARCHED = 1200
"""Most training sequences, of whole subjects, that hyperparameters are chosen on; the model is fitted on all."""

SHOTS: tuple[int, ...] = (1, 5, 10)  # numbers of labelled training subjects of a few-shot evaluation
FEW_SHOT_DRAWS = 20  # number of draws of those subjects
RESAMPLES = 1000

Features = Float[np.ndarray, "sequences width"]
ParameterGrid = Mapping[str, Sequence[Any]]


class FewShotScores(TypedDict):
    """Accuracy on test subjects with a few labelled training subjects, 0…1."""

    accuracy: float  # mean over draws of labelled subjects and over sequences
    interval: list[float]  # 95 %, bootstrapped over both
    spread: float  # standard deviation over draws
    draws: int


def probe_linearly(features: Features, sequences: pd.DataFrame, split: SubjectSplit, model: str) -> pd.DataFrame:
    """Predictions of a linear probe (standardise, logistic regression) on the sequences of test subjects."""
    estimator = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=ITERATIONS))])
    return classify_unseen(estimator, {"classify__C": STRENGTHS}, features, sequences, split, model)


def probe_neighbours(features: Features, sequences: pd.DataFrame, split: SubjectSplit, model: str) -> pd.DataFrame:
    """Predictions of nearest neighbours by cosine, on standardised features; as :func:`probe_linearly`."""
    estimator = Pipeline([("scale", StandardScaler()), ("classify", KNeighborsClassifier(metric="cosine"))])
    return classify_unseen(estimator, {"classify__n_neighbors": NEIGHBOURS}, features, sequences, split, model)


def classify_unseen(
    estimator: Pipeline,
    grid: ParameterGrid,
    features: Features,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    model: str,
) -> pd.DataFrame:
    """Predictions of test subjects after a grid search, by subject, on training ones; a LeakError if they overlap."""
    if len(features) != len(sequences):
        raise ValueError(f"{model} has {len(features)} rows of features for {len(sequences)} sequences.")
    rows = labelled_rows(sequences, split)
    check_no_copies(features, sequences, rows)
    fitted = fit_by_subject(estimator, grid, features[rows.train], sequences.iloc[rows.train])
    return prediction_table(sequences.iloc[rows.test], _probabilities(fitted, features[rows.test]), model)


def fit_by_subject(estimator: Pipeline, grid: ParameterGrid, features: Features, sequences: pd.DataFrame) -> Any:
    """Fit, on all given sequences, the parameters that did best when each fold left out some subjects."""
    labels, subjects = sequences["expression"].to_numpy(), sequences["subject"].to_numpy()
    folds = min(FOLDS, len(set(subjects)))
    if folds < 2:
        raise ValueError("A probe needs at least two training subjects, to choose its strength by leaving some out.")
    splitter, some = GroupKFold(folds), rows_of_some_subjects(subjects)
    smallest = min(len(train) for train, _ in splitter.split(some, groups=subjects[some]))
    search = GridSearchCV(estimator, _feasible(grid, smallest), cv=splitter, refit=False, error_score="raise")
    search.fit(features[some], labels[some], groups=subjects[some])
    return clone(estimator).set_params(**search.best_params_).fit(features, labels)


def rows_of_some_subjects(
    subjects: Shaped[np.ndarray, " rows"], most: int = SEARCHED, seed: int = 0
) -> Int64[np.ndarray, " chosen"]:
    """Rows of all subjects, or of randomly chosen ones with at most ``most`` rows together (never less than FOLDS)."""
    counts = pd.Series(subjects).value_counts(sort=False).sort_index().sample(frac=1, random_state=seed)
    chosen = counts.index[(counts.cumsum() <= most) | (np.arange(len(counts)) < FOLDS)]
    return np.flatnonzero(np.isin(subjects, chosen))


def few_shot_scores(
    features: Features,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    generator: np.random.Generator,
    shots: Sequence[int] = SHOTS,
    draws: int = FEW_SHOT_DRAWS,
) -> dict[str, FewShotScores]:
    """Accuracy of logistic regression on frozen features of a few training subjects, by their number as text.

    Features are standardised over all training subjects, which takes no label; the strength is scikit-learn's, because
    one subject leaves none to choose it by. Each number in ``shots`` is evaluated on several ``draws`` of subjects (one
    where all are labelled); numbers larger than that of the training subjects are left out.
    """
    rows = labelled_rows(sequences, split)
    check_no_copies(features, sequences, rows)
    scaled = StandardScaler().fit(features[rows.train]).transform(features)
    unseen = sequences.iloc[rows.test]
    subjects = np.array(sorted(set(sequences["subject"].iloc[rows.train])))
    scores = {}
    for count in (number for number in shots if number <= len(subjects)):
        repeats = 1 if count == len(subjects) else draws
        chosen = (generator.choice(subjects, count, replace=False) for _ in range(repeats))
        hits = np.stack([_few_shot_hits(scaled, sequences, rows, labelled) for labelled in chosen]).astype(float)
        scores[str(count)] = _few_shot_scores(hits, unseen["subject"], generator)
    return scores


class RetrievalScores(TypedDict):
    """Ranking scores of queries, 0…1; queries without a relevant item are left out."""

    recall_1: float  # fraction of queries with a relevant item first; ``recall_5``: among the first five
    recall_5: float
    mean_average_precision: float
    chance: float  # ``recall_1`` by chance
    queries: int


def _few_shot_hits(scaled: Features, sequences: pd.DataFrame, rows: LabelledRows, labelled: np.ndarray) -> np.ndarray:
    known = rows.train[sequences["subject"].iloc[rows.train].isin(labelled).to_numpy()]
    labels, truth = sequences["expression"].iloc[known], sequences["expression"].iloc[rows.test].to_numpy()
    if labels.nunique() == 1:  # a single class cannot be fitted, and is always predicted
        return np.asarray(truth == labels.iloc[0])
    fitted = LogisticRegression(max_iter=ITERATIONS).fit(scaled[known], labels)
    return np.asarray(fitted.predict(scaled[rows.test]) == truth)


def _few_shot_scores(hits: np.ndarray, subjects: "pd.Series[str]", generator: np.random.Generator) -> FewShotScores:
    """Scores of hits [draws, sequences]; draws and subjects are bootstrapped independently."""
    by_subject = pd.DataFrame(hits.T).groupby(subjects.to_numpy())
    sums, counts = by_subject.sum().to_numpy(), by_subject.size().to_numpy()  # [subjects, draws], [subjects]
    means = []
    for _ in range(RESAMPLES):
        resampled = generator.integers(len(sums), size=len(sums))
        drawn = generator.integers(hits.shape[0], size=hits.shape[0])
        means.append(sums[resampled][:, drawn].sum() / (counts[resampled].sum() * hits.shape[0]))
    return {
        "accuracy": float(hits.mean()),
        "interval": list(percentile_interval(means)),
        "spread": float(hits.mean(axis=1).std()),
        "draws": len(hits),
    }


def _feasible(grid: ParameterGrid, rows: int) -> dict[str, list[Any]]:
    return {
        name: [value for value in values if not name.endswith("n_neighbors") or value <= rows]
        for name, values in grid.items()
    }


def _probabilities(fitted: Any, features: Features) -> Float[np.ndarray, "sequences classes"]:
    """Probabilities in the order of ``EXPRESSIONS``; 0 for an expression that was never trained on."""
    known = pd.DataFrame(fitted.predict_proba(features), columns=fitted.classes_)
    return known.reindex(columns=list(EXPRESSIONS), fill_value=0.0).to_numpy()


PERPLEXITY = 30.0
COMPONENTS = 50  # principal components that t-SNE starts from, as its authors advise
MAP_COLUMNS = ("model", "sequence", "subject", "expression", "x", "y")


def retrieve_both_ways(
    fused: Float[np.ndarray, "scans dim"], expressions: list[str], texts: Mapping[str, Float[np.ndarray, "_ dim"]]
) -> dict[str, RetrievalScores]:
    """Scores of retrieving scans by prompts and prompts by scans; all vectors are of unit length."""
    prompts = np.concatenate(list(texts.values()))
    named = np.repeat(list(texts), [len(vectors) for vectors in texts.values()])
    cosines = prompts @ fused.T
    relevant = named[:, None] == np.array(expressions)[None]
    return {
        "text_to_scan": retrieval_scores(cosines, relevant),
        "scan_to_text": retrieval_scores(cosines.T, relevant.T),
    }


def retrieval_scores(
    similarities: Float[np.ndarray, "queries items"], relevant: Bool[np.ndarray, "queries items"]
) -> RetrievalScores:
    """Score rankings by similarity; raises a ValueError if no query has a relevant item."""
    kept = relevant.any(axis=1)
    if not kept.any():
        raise ValueError("No query has a relevant item: there is nothing to retrieve.")
    similarities, relevant = similarities[kept], relevant[kept]
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :5]
    found = np.take_along_axis(relevant, first, axis=1)
    return {
        "recall_1": float(found[:, 0].mean()),
        "recall_5": float(found.any(axis=1).mean()),
        "mean_average_precision": float(label_ranking_average_precision_score(relevant, similarities)),
        "chance": float(relevant.mean()),
        "queries": len(relevant),
    }


def embedding_map(features: Features, sequences: pd.DataFrame, model: str) -> pd.DataFrame:
    """t-SNE (van der Maaten and Hinton 2008) of features, within −1…1: columns :data:`MAP_COLUMNS`; deterministic."""
    if len(features) < 4:
        raise ValueError(f"A map of {len(features)} sequences shows nothing; it takes four.")
    scaled = StandardScaler().fit_transform(features)
    reduced = PCA(min(COMPONENTS, *scaled.shape), random_state=0).fit_transform(scaled)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    placed = placed / max(np.abs(placed).max(), 1e-12)
    table = sequences[["sequence", "subject", "expression"]].reset_index(drop=True)
    return table.assign(model=model, x=placed[:, 0].astype(float), y=placed[:, 1].astype(float))[list(MAP_COLUMNS)]
