import shutil

import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from affect4d.configuration_layers_and_checks import base_configuration
from affect4d.pipelines.data.raw_corpus import CorpusChoice
from affect4d.pipelines.inference.nodes import PredictOptions
from affect4d.settings import CONFIG_LOADER_ARGS


@pytest.fixture
def conf(project_root, tmp_path):
    """The project's configuration without anybody's own."""
    shutil.copytree(project_root / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf" / "local").mkdir()
    return tmp_path / "conf"


def test_a_users_globals_say_only_what_is_theirs(conf):
    """As docs/data.md shows it: one corpus' folder, its camera; everything else stays as it is."""
    mine = "corpus_roots: { casme3: /data/casme3 }\ndepth_cameras: { casme3: { fx: 1.0, fy: 1.0, cx: 2.0, cy: 2.0 } }\n"
    (conf / "local" / "globals.yml").write_text(mine)
    parameters = OmegaConfigLoader(str(conf), **CONFIG_LOADER_ARGS)["parameters"]
    mine = CorpusChoice.model_validate({**parameters["raw_corpus"], "name": "casme3"}).source
    assert (mine.layout, mine.root) == ("casme3", "/data/casme3")
    assert mine.camera["cx"] == 2
    assert CorpusChoice.model_validate({**parameters["raw_corpus"], "name": "bosphorus"}).source.root is None
    options = PredictOptions.model_validate(parameters["predict"])
    assert options.cameras["casme3"].cx == 2
    assert options.path_pattern is None


def test_a_session_with_all_its_hooks_reads_a_users_globals(project_root, conf):
    """Kedro asks the newest loader of a process what a global is: a hook that makes one must not leave it there."""
    (conf / "local" / "globals.yml").write_text("{corpus: bu4dfe, corpus_roots: {bu4dfe: /data/BU4DFE}}")
    bootstrap_project(project_root)
    with KedroSession.create(project_root, conf_source=str(conf)) as session:
        chosen = session.load_context().catalog["params:raw_corpus"].load()
    assert chosen.name == "bu4dfe"
    assert chosen.source.root == "/data/BU4DFE"


def test_asking_what_the_base_says_leaves_the_users_globals_in_force(conf):
    (conf / "local" / "globals.yml").write_text("{ict_folder: /faces}")
    loader = OmegaConfigLoader(str(conf), **CONFIG_LOADER_ARGS)
    for key in ("globals", "parameters"):
        base = base_configuration(loader, key)
        assert "/faces" not in str(base)
        assert loader["parameters"]["raw_corpus"]["known"]["open-4dfer-ict"]["ict_folder"] == "/faces"
