"""The pipelines as a stranger sees them: named nodes, layers, stages."""

import re

import pytest
import yaml
from kedro.framework.project import configure_project

from affect4d.pipeline_registry import ON_REQUEST, RESULTS, STUDIES, register_pipelines


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
    promised = "fabricate ingest render augment prompts train_affect train_smile bundle evaluate report __default__"
    assert set(promised.split()) == {"__default__", *RESULTS}
    assert set(registered) == {"__default__", *RESULTS, *STUDIES, *ON_REQUEST}


def test_no_study_is_part_of_the_default_run(registered):
    assert not [node.name for node in registered["__default__"].nodes if "studies" in node.tags]


def test_each_named_pipeline_starts_from_nothing_but_parameters_and_stores(registered):
    for name, pipeline in registered.items():
        free = {item for item in pipeline.inputs() if not item.startswith("params:")}
        assert all(item.endswith("_store") or item in ("stage_seconds", "served_model") for item in free), (name, free)


def test_every_node_is_named_described_and_belongs_to_one_stage(registered):
    for node in registered["__default__"].nodes:
        assert node.name == node._name, node
        assert node.func.__doc__, node.name
        assert len(node.tags) == 1, node.name


def test_every_catalog_entry_has_a_layer(catalog):
    for name, entry in catalog.items():
        assert entry["metadata"]["kedro-viz"]["layer"], name


def test_every_artefact_of_a_run_is_in_the_catalog_and_versioned(registered, catalog):
    patterns = {name.removeprefix("{model}") for name in catalog if name.startswith("{model}")}
    for output in registered["__default__"].all_outputs():
        known = output in catalog or any(output.endswith(suffix) for suffix in patterns)
        assert known, output
        entry = catalog.get(output)
        assert entry is None or entry.get("versioned") or output.startswith("latest_"), output


def test_every_catalog_entry_is_used(registered, catalog):
    used = set().union(*(pipeline.datasets() for pipeline in registered.values()))
    for name in catalog:
        if "{" in name:
            pattern = re.compile(re.sub(r"\{\w+\}", r"\\w+", name))
            assert any(pattern.fullmatch(item) for item in used), name
        else:
            assert name in used, name
