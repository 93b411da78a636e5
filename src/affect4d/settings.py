"""Project settings, read by Kedro."""

import os
import warnings
from typing import Any

from kedro.config import OmegaConfigLoader

from affect4d.hooks import (
    AccountHooks,
    DeviceHooks,
    OwnArtefactsHooks,
    StageClockHooks,
    TrackingHooks,
    UnknownNamesHooks,
    UnreadSettingsHooks,
    WritableHooks,
)

for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):  # nobody is told of a run, wherever the package is installed
    os.environ.setdefault(name, "true")
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "false")  # what is wrong is named, and enough

# requirements.lock holds a Kedro that has --pipeline, and every page says it: its word of a later one is for us.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

HOOKS = (
    UnreadSettingsHooks(),
    UnknownNamesHooks(),
    AccountHooks(),
    StageClockHooks(),
    TrackingHooks(),
    DeviceHooks(),
    WritableHooks(),
    OwnArtefactsHooks(),
)

CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}
