"""The pipelines as a stranger sees them: named nodes, layers, stages."""

import re
from collections import defaultdict
from graphlib import TopologicalSorter

import pytest
import yaml
from kedro.framework.project import configure_project

from affect4d.configuration_layers_and_checks import FORMER_PIPELINES
from affect4d.pipeline_registry import ON_REQUEST, RESULTS, register_pipelines

RENAMED = "affect4d.datasets.RenamedDataset"
LAYERS = ["raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"]


def layer_of(entry):
    return (entry or {}).get("metadata", {}).get("kedro-viz", {}).get("layer")


def entry_of(name, catalog):
    """The entry of a dataset, or the pattern that makes it one."""
    patterns = [known for known in catalog if re.fullmatch(re.sub(r"\{\w+\}", r"\\w+", known), name)]
    return catalog.get(name) or next((catalog[known] for known in patterns), None)


@pytest.fixture(scope="module")
def registered():
    configure_project("affect4d")
    return register_pipelines()


@pytest.fixture(scope="module")
def catalog(project_root):
    entries = {}
    for file in sorted((project_root / "conf/base/catalog").glob("*.yml")):
        entries.update(yaml.safe_load(file.read_text()))
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


def test_every_promised_pipeline_is_there(registered):
    promised = "generate ingest render augment prompts train_affect train_smile package evaluate report __default__"
    assert set(promised.split()) == {"__default__", *RESULTS}
    assert set(registered) == {"__default__", *RESULTS, *ON_REQUEST, *FORMER_PIPELINES}


def test_no_study_is_part_of_the_default_run(registered):
    assert not [node.name for node in registered["__default__"].nodes if "studies" in node.tags]


FOUND = ("stage_seconds", "run_info", "served_model", "model_finder", "evidence", "evaluated_baselines")
"""What is read as it is found; so is the corpus that is trained on where that is another one."""


def test_each_named_pipeline_starts_from_nothing_but_parameters_and_stores(registered):
    for name, pipeline in registered.items():
        free = {item for item in pipeline.inputs() if not item.startswith("params:")}
        found = {item for item in free if item.endswith("_store") or item.startswith("training_") or item in FOUND}
        assert free == found, (name, free - found)


def test_every_node_is_named_described_and_belongs_to_one_stage(registered):
    for node in registered["__default__"].nodes:
        assert node.name == f"{node.namespace}.{node._name}", node
        assert node.func.__doc__, node.name
        assert len(node.tags) == 1, node.name


def test_parts_and_models_are_namespaces_that_kedro_viz_folds_up(registered):
    parts = {"data", "model_input", "evaluation", "reporting", "experiments", "inference"}
    for name, pipeline in registered.items():
        assert {node.namespace for node in pipeline.nodes} <= parts | {"affect_vlm", "smile_vlm", "cross_entropy"}, name


def test_a_node_takes_at_most_eight_inputs_and_the_settings_of_a_model(registered):
    for pipeline in registered.values():
        for node in pipeline.nodes:
            assert len([name for name in node.inputs if not name.endswith("_settings")]) <= 8, node.name


def test_every_catalog_entry_has_a_layer_but_stores(catalog):
    """A store or a finder of models serves many stages; settings and what stays in memory are no layer of data."""
    for name, entry in catalog.items():
        without = name.endswith(("_store", "_settings", "_finder")) or entry["type"] in ("MemoryDataset", RENAMED)
        assert layer_of(entry) is None if without else layer_of(entry), name


def test_layers_come_one_after_another(registered, catalog):
    """Kedro-Viz draws none where they do not."""
    layers = {name: layer_of(entry_of(name, catalog)) for name in registered["__default__"].datasets()}
    before = defaultdict(set)
    for node in registered["__default__"].nodes:
        for output in filter(layers.get, node.outputs):
            before[layers[output]] |= {layers[name] for name in node.inputs if layers[name]} - {layers[output]}
    assert list(TopologicalSorter(before).static_order()) == LAYERS


def test_every_artefact_of_a_run_is_in_the_catalog_and_versioned(registered, catalog):
    patterns = {name.removeprefix("{model}") for name in catalog if name.startswith("{model}")}
    for output in registered["__default__"].all_outputs():
        known = output in catalog or any(output.endswith(suffix) for suffix in patterns)
        assert known, output
        entry = catalog.get(output)
        assert entry is None or entry.get("versioned") or entry["type"] == "MemoryDataset", output


def test_every_catalog_entry_is_used(registered, catalog):
    used = set().union(*(pipeline.datasets() for pipeline in registered.values()))
    for name, entry in catalog.items():
        if entry["type"] == RENAMED:
            continue
        if "{" in name:
            pattern = re.compile(re.sub(r"\{\w+\}", r"\\w+", name))
            assert any(pattern.fullmatch(item) for item in used), name
        else:
            assert name in used, name
