"""No human label reaches SMILE-VLM: permute every label, and not one weight changes."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from affect4d.experiments.settings import ExperimentSettings
from affect4d.pipelines.model_input.nodes import schedule_self_supervised, write_pseudo_prompts
from affect4d.pipelines.training.nodes import train_model
from affect4d.pseudo_labels.options import ClusterOptions, PseudoLabelOptions
from affect4d.rendering.options import BlendshapeOptions
from affect4d.store import ContentStore
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainOptions
from affect4d.views.input_options import InputOptions

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
    options = TrainOptions(epochs=2, batch_size=12, samples_per_sequence=1, seed=0, threads=1)
    settings = ExperimentSettings(method="smile_vlm", inputs=InputOptions(size=32), train=options, pseudo_labels=source)
    models = ContentStore(folder)
    prompts = write_pseudo_prompts(
        scans, views, split, settings, store, models, project.load("raw_corpus"), BlendshapeOptions()
    )
    schedule = schedule_self_supervised(views, prompts, split, settings)
    kept = CheckpointOptions(), DistributedOptions()
    record, _ = train_model(views, schedule, prompts, settings, store, models, *kept)
    return load_file(models.path(record["entry"]) / "weights.safetensors")


@pytest.mark.parametrize(
    "source",
    [
        PseudoLabelOptions(),
        PseudoLabelOptions(source="cluster", cluster=ClusterOptions(count=4)),
    ],
    ids=["geometry", "clusters"],
)
def test_permuting_all_labels_changes_no_weight(finished, tmp_path, source):
    project, _ = finished
    scans, views = project.load("scan_manifest"), project.load("view_manifest")
    told = train(project, scans, views, tmp_path / "told", source)
    lied_to = train(project, shuffled(scans, 1), shuffled(views, 1), tmp_path / "lied", source)
    assert not shuffled(views, 1)["expression"].equals(views["expression"])
    assert told.keys() == lied_to.keys()
    assert all(np.array_equal(told[name], lied_to[name]) for name in told)
