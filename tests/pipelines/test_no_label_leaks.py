"""No human label reaches SMILE-VLM: permute every label, and not one weight changes."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from affect4d.models.options import ModelOptions
from affect4d.pipelines.augment.nodes import plan_smile_views
from affect4d.pipelines.prompts.nodes import write_pseudo_prompts
from affect4d.pipelines.train.nodes import train_smile_vlm
from affect4d.prompts.pseudo_labels.options import ClusterOptions, PseudoLabelOptions
from affect4d.store import ContentStore
from affect4d.training.options import SmileOptions, TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions

pytestmark = pytest.mark.slow


def shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The table with its labels permuted among sequences."""
    labels = table.drop_duplicates("sequence").set_index("sequence")["expression"]
    order = np.random.default_rng(seed).permutation(len(labels))
    permuted = dict(zip(labels.index, labels.to_numpy()[order], strict=True))
    return table.assign(expression=table["sequence"].map(permuted))


def train(project, scans: pd.DataFrame, views: pd.DataFrame, folder, source: PseudoLabelOptions):
    """The self-supervised half of the chain, from manifests to weights."""
    split, store = project.load("subject_split"), project.load("view_store")
    inputs = InputOptions(size=32)
    options = TrainOptions(epochs=2, batch_size=12, samples_per_sequence=1, seed=0, threads=1)
    how, models = (inputs, ModelOptions(), options, MixedViewOptions(), SmileOptions()), ContentStore(folder)
    prompts = write_pseudo_prompts(scans, views, split, source, *how, store, models, models)
    plan = plan_smile_views(views, prompts, split, MixedViewOptions(), options, inputs)
    record = train_smile_vlm(views, plan, prompts, store, models, inputs, ModelOptions(), options, SmileOptions())
    return load_file(models.path(record["entry"]) / "weights.safetensors")


@pytest.mark.parametrize(
    "source",
    [
        PseudoLabelOptions(),
        PseudoLabelOptions(source="cluster", cluster=ClusterOptions(count=4, refreshes=1, epochs=1)),
    ],
    ids=["geometry", "refreshed clusters"],
)
def test_permuting_all_labels_changes_no_weight(finished, tmp_path, source):
    project, _ = finished
    scans, views = project.load("scan_manifest"), project.load("view_manifest")
    told = train(project, scans, views, tmp_path / "told", source)
    lied_to = train(project, shuffled(scans, 1), shuffled(views, 1), tmp_path / "lied", source)
    assert not shuffled(views, 1)["expression"].equals(views["expression"])
    assert told.keys() == lied_to.keys()
    assert all(np.array_equal(told[name], lied_to[name]) for name in told)
