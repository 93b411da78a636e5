"""The command on the page gives the page again."""

import shlex
from pathlib import Path

from affect4d.pipelines.predict.nodes import PredictOptions, command_for


def test_the_command_names_the_model_and_whatever_is_not_usual():
    plain = command_for(PredictOptions(input=Path("/scans")), Path("/models/mine"))
    assert plain == "kedro run --pipeline=predict --params input=/scans,model=/models/mine"
    options = PredictOptions(input=Path("/my scans"), layout="bu4dfe", grouping="single")
    *_, said = shlex.split(command_for(options, Path("/models/mine")))
    assert said == "input=/my scans,model=/models/mine,layout=bu4dfe,grouping=single"


def test_a_pattern_is_said_again():
    options = PredictOptions(input=Path("/scans"), layout="fourdme", patterns={"fourdme": "{clip}/{frame}.obj"})
    assert "layout=fourdme,corpus_pattern={clip}/{frame}.obj" in command_for(options, Path("/models/mine"))
