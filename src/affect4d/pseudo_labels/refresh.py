"""Clusters refreshed by the model they taught: SMILE-VLM, trained for a while, and what it then makes of everybody."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from affect4d.evaluation.embed import embed_sequences
from affect4d.models import load_model
from affect4d.models.options import ModelOptions
from affect4d.store import ContentStore
from affect4d.training.device import choose_device
from affect4d.training.options import SmileOptions, TrainingRecipe, TrainOptions
from affect4d.training.run import TrainingTables, train_cached
from affect4d.training.sampling import draw_plan
from affect4d.training.trainer import ignore
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.bank import load_view_bank
from affect4d.views.inputs import InputOptions


@dataclass(frozen=True)
class Refreshing:
    """How the model between two clusterings is trained.

    Attributes:
        inputs: What it sees of a view.
        model: Its size.
        train: How long, how fast; the epochs are those of one refresh.
        augment: Mixed view augmentation.
        objective: Weights of SMILE-VLM's terms.
        models: Where trained models are kept: a refresh that was made before is found there.
    """

    inputs: InputOptions
    model: ModelOptions
    train: TrainOptions
    augment: MixedViewOptions
    objective: SmileOptions
    models: ContentStore


def embed_after_training(
    views: pd.DataFrame,
    store: ContentStore,
    prompts: pd.DataFrame,
    train: "pd.Series[bool]",
    refreshing: Refreshing,
    number: int,
) -> pd.DataFrame:
    """Train SMILE-VLM from the start on the prompts so far, and embed every sequence.

    From the start, not further: the plan stays the whole schedule, a run that was stopped goes on, and what earlier
    clusters got wrong is not kept in the weights.

    Args:
        views: View manifest without labels.
        store: Where the pictures are.
        prompts: Pseudo-labeled prompts so far.
        train: Whether each sequence (the index) is of a training subject.
        refreshing: How.
        number: Which refresh, from 1; each has a seed of its own.

    Returns:
        One row a sequence that has prompts (the index): the image tower's output, standardised over training
        sequences, scaled to unit length.
    """
    known = views[views["sequence"].isin(prompts["sequence"])].reset_index(drop=True)
    trained = known[train[known["sequence"]].to_numpy()].reset_index(drop=True)
    options = refreshing.train.model_copy(update={"seed": refreshing.train.seed + number})
    pseudo_label_of = dict(zip(prompts["sequence"], prompts["pseudo_label"], strict=True))
    plan = draw_plan(trained, refreshing.augment, options, refreshing.inputs, pseudo_label_of, supervised=False)
    recipe = TrainingRecipe(refreshing.inputs, refreshing.model, options, refreshing.objective)
    record = train_cached("smile_vlm", TrainingTables(known, plan, prompts, store), recipe, refreshing.models, ignore)
    model = load_model(refreshing.models.path(record["entry"]), choose_device(options.device))
    embeddings = embed_sequences(model, load_view_bank(known, store, refreshing.inputs), refreshing.inputs)
    names = list(embeddings.sequences)
    scale = make_pipeline(StandardScaler(), Normalizer()).fit(embeddings.hidden[train[names].to_numpy()])
    return pd.DataFrame(np.asarray(scale.transform(embeddings.hidden)), index=names)
