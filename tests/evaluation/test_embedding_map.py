import numpy as np
import pytest

from affect4d.evaluation.embedding_map import MAP_COLUMNS, embedding_map


def test_what_is_alike_lies_together(separable, sequences):
    table = embedding_map(separable, sequences, "model")
    places = table[["x", "y"]].to_numpy()
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
    nearest = table["expression"].to_numpy()[distances.argmin(axis=1)]
    assert (nearest == table["expression"]).mean() > 0.95
    assert tuple(table.columns) == MAP_COLUMNS
    assert np.abs(places).max() == pytest.approx(1.0)


def test_it_is_the_same_each_time(separable, sequences):
    one, other = (embedding_map(separable[:12], sequences[:12], "model") for _ in range(2))
    assert one.equals(other)


def test_too_few_sequences_are_refused(separable, sequences):
    with pytest.raises(ValueError, match="it takes four"):
        embedding_map(separable[:3], sequences[:3], "model")
