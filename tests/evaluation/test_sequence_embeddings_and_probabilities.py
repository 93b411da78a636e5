from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from affect4d.evaluation.evaluate_models import Evaluator
from affect4d.evaluation.sequence_embeddings_and_probabilities import (
    classify_sequences,
    embed_sequences,
    set_evaluation_mode,
    window_rows,
)
from affect4d.models import JointEmbedding
from affect4d.views.input_options import InputOptions

OPTIONS = InputOptions(channels=("grey", "shading"), motion="none", size=16)


class MeanModel:
    """Hidden state of a view: the means of its channels."""

    def embed_views(self, images):
        hidden = images.mean(dim=(3, 4))
        views = normalize(hidden, dim=-1)
        return JointEmbedding(hidden, views, normalize(views.mean(dim=1), dim=-1))

    def classify(self, images):
        return images.mean(dim=(1, 2, 3, 4))[:, None].repeat(1, 6)


def test_a_window_is_all_its_frames_or_some_spread_over_it(bank):
    assert window_rows(bank, "S00/disgust") == [6, 7, 8]
    assert window_rows(bank, "S00/disgust", 2) == [6, 8]


def test_an_unknown_sequence_is_named(bank):
    with pytest.raises(KeyError, match="S99"):
        window_rows(bank, "S99/anger")


def test_a_sequence_is_the_mean_of_its_window(bank):
    embeddings = embed_sequences(MeanModel(), bank, OPTIONS)
    frame = MeanModel().embed_views(bank.images[6:9].float() / 127.5 - 1).hidden.mean(dim=0)
    assert embeddings.hidden[1] == pytest.approx(frame.flatten().numpy(), abs=0.02)
    assert embeddings.hidden.shape == (60, 4)
    assert embeddings.views.shape == (60, 2, 2)
    assert np.linalg.norm(embeddings.fused, axis=1) == pytest.approx(1)


def test_embeddings_are_found_by_name(bank):
    embeddings = embed_sequences(MeanModel(), bank, OPTIONS)
    some = embeddings.of(["S02/fear", "S00/anger"])
    assert np.array_equal(some.hidden, embeddings.hidden[[14, 0]])


def test_class_probabilities_sum_to_one(bank):
    probabilities = classify_sequences(MeanModel(), bank, OPTIONS)
    assert probabilities.shape == (60, 6)
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_a_model_is_put_to_rest_before_it_embeds(bank):
    class Module(MeanModel, torch.nn.Module):
        pass

    model = Module().train()
    embed_sequences(model, bank, OPTIONS)
    assert not model.training


def test_a_model_stays_where_it_is_unless_told(bank):
    model = torch.nn.Linear(2, 2, device="meta")
    assert set_evaluation_mode(model) == torch.device("meta")
    assert model.weight.device == torch.device("meta")
    assert not model.training


def test_a_model_is_asked_across_views_one_at_a_time(bank, sequences, split):
    """What a probe is given: of training people the mean of the fitted views, of the others the asked one's."""
    evaluator = Evaluator(bank, sequences, split, OPTIONS, quiet=True)
    seen = []

    class Counting(MeanModel):
        def embed_views(self, images):
            seen.append(images)
            return super().embed_views(images)

    with mock.patch("affect4d.evaluation.evaluate_models.probe_linearly") as probe:
        evaluator.by_probe_across_views(Counting(), "one", bank.views, bank.views, bank.views[1:])
    features = probe.call_args.args[0]
    hidden = embed_sequences(MeanModel(), bank, OPTIONS).hidden.reshape(60, 2, 2)
    unseen = sequences["subject"].isin(split.test).to_numpy()
    assert features[~unseen] == pytest.approx(hidden[~unseen].mean(axis=1), abs=1e-6)
    assert features[unseen] == pytest.approx(hidden[unseen, 1], abs=1e-6)
    assert all(torch.equal(images[:, 0], images[:, 1]) for images in seen)
    assert probe.call_args.args[3] == "one"
