"""What a frozen representation is worth when only a few people were labelled."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from affect4d.evaluation.metrics import COVERAGE
from affect4d.evaluation.probe import ITERATIONS, Features
from affect4d.evaluation.protocols import check_no_copies, fold_of
from affect4d.scans.splits import SubjectSplit

LABELLED: tuple[int, ...] = (1, 5, 10)
"""Numbers of labelled training subjects."""
DRAWS = 20
"""How often they are drawn anew."""
RESAMPLES = 1000


class FewShotScores(TypedDict):
    """Accuracy with a few labelled subjects, 0…1.

    Attributes:
        accuracy: Mean over draws of subjects and over sequences of unseen subjects.
        interval: 95 % interval of that mean, bootstrapped over both.
        spread: Standard deviation over draws.
        draws: How many.
    """

    accuracy: float
    interval: list[float]
    spread: float
    draws: int


def few_shot_scores(
    features: Features,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    generator: np.random.Generator,
    labelled: Sequence[int] = LABELLED,
    draws: int = DRAWS,
) -> dict[str, FewShotScores]:
    """Logistic regression on frozen features of a few training subjects, drawn again and again.

    Features are standardised over all training subjects, which takes no label; the strength is scikit-learn's, because
    one subject leaves nobody to choose it by.

    Args:
        features: One row a row of ``sequences``.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Subjects to draw from, and to evaluate.
        generator: Draws subjects and bootstrap samples.
        labelled: How many subjects; numbers beyond the training subjects are left out.
        draws: How often; once where everybody is labelled.

    Returns:
        Scores by number of subjects, as text.

    Raises:
        LeakError: If a test subject or a test sample is among the training ones.
    """
    fold = fold_of(sequences, split)
    check_no_copies(features, sequences, fold)
    scaled = StandardScaler().fit(features[fold.train]).transform(features)
    known, unseen = sequences.iloc[fold.train], sequences.iloc[fold.test]
    people = np.array(sorted(set(known["subject"])))

    def hits_of(count: int) -> np.ndarray:
        chosen = known["subject"].isin(generator.choice(people, count, replace=False)).to_numpy()
        rows = fold.train[chosen]
        labels = sequences["expression"].iloc[rows]
        if labels.nunique() == 1:  # the few show one expression: it is all that can be answered
            return np.asarray(unseen["expression"] == labels.iloc[0])
        fitted = LogisticRegression(max_iter=ITERATIONS).fit(scaled[rows], labels)
        return np.asarray(fitted.predict(scaled[fold.test]) == unseen["expression"].to_numpy())

    scores = {}
    for count in (number for number in labelled if number <= len(people)):
        repeats = 1 if count == len(people) else draws
        hits = np.stack([hits_of(count) for _ in range(repeats)]).astype(float)
        scores[str(count)] = _scores(hits, unseen["subject"], generator)
    return scores


def _scores(hits: np.ndarray, subjects: "pd.Series[str]", generator: np.random.Generator) -> FewShotScores:
    """Scores of hits [draws, sequences]; draws and subjects are bootstrapped independently."""
    by_subject = pd.DataFrame(hits.T).groupby(subjects.to_numpy())
    sums, counts = by_subject.sum().to_numpy(), by_subject.size().to_numpy()  # [subjects, draws], [subjects]
    means = []
    for _ in range(RESAMPLES):
        people = generator.integers(len(sums), size=len(sums))
        drawn = generator.integers(hits.shape[0], size=hits.shape[0])
        means.append(sums[people][:, drawn].sum() / (counts[people].sum() * hits.shape[0]))
    low, high = np.quantile(means, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return {
        "accuracy": float(hits.mean()),
        "interval": [float(low), float(high)],
        "spread": float(hits.mean(axis=1).std()),
        "draws": len(hits),
    }
