"""The command on the page gives the page again."""

import shlex
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.cli.utils import _split_params

from affect4d.inference.preprocessing import NO_NEUTRAL
from affect4d.pipelines.inference.nodes import PredictOptions, _summarise, predict_command


def test_the_command_names_the_model_and_whatever_is_not_usual():
    plain = predict_command(PredictOptions(input=Path("/scans")), Path("/models/mine"))
    assert plain == "kedro run --pipeline=predict --params input=/scans,model=/models/mine"
    options = PredictOptions(input=Path("/my scans"), layout="bu4dfe", grouping="single")
    *_, said = shlex.split(predict_command(options, Path("/models/mine")))
    assert said == "input=/my scans,model=/models/mine,layout=bu4dfe,grouping=single"


@pytest.mark.parametrize("alone", [0, 2])
def test_answers_without_a_neutral_frame_are_counted_in_the_summary(alone):
    reasons = [f"texture missing; {NO_NEUTRAL}"] * alone + ["texture missing"]
    table = pd.DataFrame({"expression": "fear", "status": "ok", "code": "", "reason": reasons})
    told = f"{alone} of {len(table)} without a neutral frame: little better than guessing."
    assert (told in _summarise(table, "affect_vlm")) is bool(alone)


def test_a_pattern_is_said_again():
    options = PredictOptions(input=Path("/scans"), layout="fourdme", patterns={"fourdme": "{clip}/{frame}.obj"})
    *_, given = shlex.split(predict_command(options, Path("/models/mine")))
    assert _split_params(None, None, given)["corpus_pattern"] == "{clip}/{frame}.obj"


def test_the_pattern_of_a_corpus_in_a_folder_is_not_that_of_other_folders():
    patterns = {"folder": "{subject}/{frame}.obj"}
    assert PredictOptions(patterns=patterns).path_pattern is None
    assert PredictOptions(patterns=patterns, pattern="{frame}.ply").path_pattern == "{frame}.ply"
