"""Every environment under conf/ holds values its pipelines accept."""

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project


@pytest.mark.parametrize("environment", ["local", "ci", "gpu"])
def test_the_parameters_of_every_environment_are_valid(project_root, environment):
    bootstrap_project(project_root)
    with KedroSession.create(project_root, env=environment) as session:
        parameters = session.load_context().params
    assert parameters["raw_corpus"].name == "open-4dfer-s"
    assert parameters["model"].dim >= 8


def test_the_gpu_environment_gives_pretrained_encoders_three_channels(project_root):
    bootstrap_project(project_root)
    with KedroSession.create(project_root, env="gpu") as session:
        parameters = session.load_context().params
    views, channels = parameters["inputs"].input_shape(3)
    assert (views, channels) == (6, 3)
    assert parameters["model"].encoder.pretrained
