"""Simple classifiers on frozen features: what a representation holds, read off without training it.

Everything that is fitted - scaling, regularisation strength, number of neighbours - is fitted on training subjects, and
chosen by cross-validation whose folds are subjects, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.protocols import check_no_copies, fold_of
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit

FOLDS = 5
STRENGTHS: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation strengths C tried for logistic regression."""
NEIGHBOURS: tuple[int, ...] = (1, 3, 5, 9, 15, 25)
ITERATIONS = 2000

Features = Float[np.ndarray, "sequences width"]
Grid = Mapping[str, Sequence[Any]]


def probe_linearly(features: Features, sequences: pd.DataFrame, split: SubjectSplit, model: str) -> pd.DataFrame:
    """Linear probe: standardise, logistic regression.

    Args:
        features: Frozen features, one row a row of ``sequences``.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Subjects to fit on and to evaluate.
        model: Name in the prediction table.

    Returns:
        Predictions on the sequences of unseen subjects.

    Raises:
        LeakError: If a test subject or a test sample is among the training ones.
    """
    estimator = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=ITERATIONS))])
    return classify_unseen(estimator, {"classify__C": STRENGTHS}, features, sequences, split, model)


def probe_neighbours(features: Features, sequences: pd.DataFrame, split: SubjectSplit, model: str) -> pd.DataFrame:
    """Nearest neighbours by cosine, on standardised features; arguments as for :func:`probe_linearly`."""
    estimator = Pipeline([("scale", StandardScaler()), ("classify", KNeighborsClassifier(metric="cosine"))])
    return classify_unseen(estimator, {"classify__n_neighbors": NEIGHBOURS}, features, sequences, split, model)


def classify_unseen(
    estimator: Pipeline, grid: Grid, features: Features, sequences: pd.DataFrame, split: SubjectSplit, model: str
) -> pd.DataFrame:
    """Fit on training subjects, choosing from the grid by subject-wise cross-validation; predict the unseen ones.

    Args:
        estimator: A scikit-learn pipeline whose classifier gives probabilities.
        grid: Parameters to choose among, as ``GridSearchCV`` takes them.
        features: One row a row of ``sequences``.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Subjects to fit on and to evaluate.
        model: Name in the prediction table.

    Raises:
        LeakError: If a test subject or a test sample is among the training ones.
        ValueError: If features and sequences differ in number.
    """
    if len(features) != len(sequences):
        raise ValueError(f"{model} has {len(features)} rows of features for {len(sequences)} sequences.")
    fold = fold_of(sequences, split)
    check_no_copies(features, sequences, fold)
    fitted = fit_by_subject(estimator, grid, features[fold.train], sequences.iloc[fold.train])
    return prediction_table(sequences.iloc[fold.test], _probabilities(fitted, features[fold.test]), model)


def fit_by_subject(estimator: Pipeline, grid: Grid, features: Features, sequences: pd.DataFrame) -> Any:
    """Fit, on all given sequences, what did best when each fold left out some subjects.

    Raises:
        ValueError: If there is a single subject, and so nothing to choose by.
    """
    labels, subjects = sequences["expression"].to_numpy(), sequences["subject"].to_numpy()
    folds = min(FOLDS, len(set(subjects)))
    if folds < 2:
        raise ValueError("A probe needs at least two training subjects, to choose its strength by leaving some out.")
    splitter = GroupKFold(folds)
    smallest = min(len(train) for train, _ in splitter.split(features, labels, subjects))
    search = GridSearchCV(estimator, _feasible(grid, smallest), cv=splitter, error_score="raise")
    return search.fit(features, labels, groups=subjects)


def _feasible(grid: Grid, rows: int) -> dict[str, list[Any]]:
    """The grid without numbers of neighbours that the smallest fold has not."""
    return {
        name: [value for value in values if not name.endswith("n_neighbors") or value <= rows]
        for name, values in grid.items()
    }


def _probabilities(fitted: Any, features: Features) -> Float[np.ndarray, "sequences classes"]:
    """Probabilities in the order of ``EXPRESSIONS``; 0 for an expression that was never trained on."""
    known = pd.DataFrame(fitted.predict_proba(features), columns=fitted.classes_)
    return known.reindex(columns=list(EXPRESSIONS), fill_value=0.0).to_numpy()
