"""Project settings, read by Kedro."""

import os
import warnings
from typing import Any

from affect4d.configuration_layers_and_checks import LayeredConfigLoader
from affect4d.hooks import ArtefactHooks, MlflowHooks, PreflightHooks

for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):  # no telemetry, wherever the package is installed
    os.environ.setdefault(name, "true")
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "false")

# requirements.lock holds a Kedro that has --pipeline, and every page uses it.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

HOOKS = (PreflightHooks(), MlflowHooks(), ArtefactHooks())

CONFIG_LOADER_CLASS = LayeredConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}
