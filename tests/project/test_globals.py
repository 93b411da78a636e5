import shutil
from pathlib import Path

from kedro.config import OmegaConfigLoader

from affect4d.pipelines.predict.nodes import PredictOptions
from affect4d.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_a_users_globals_say_only_what_is_theirs(tmp_path):
    """As docs/data.md shows it: one corpus' folder, its camera; everything else stays as it is."""
    shutil.copytree(CONF / "base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    mine = "corpus_roots: { casme3: /data/casme3 }\ndepth_cameras: { casme3: { fx: 1.0, fy: 1.0, cx: 2.0, cy: 2.0 } }\n"
    (tmp_path / "local" / "globals.yml").write_text(mine)
    parameters = OmegaConfigLoader(str(tmp_path), **CONFIG_LOADER_ARGS)["parameters"]
    known = parameters["raw_corpus"]["known"]
    assert known["casme3"]["root"] == "/data/casme3"
    assert known["casme3"]["camera"]["cx"] == 2
    assert known["bosphorus"]["root"] is None
    options = PredictOptions.model_validate(parameters["predict"])
    assert options.cameras["casme3"].cx == 2
    assert options.patterns == {"fourdme": None, "folder": None}
