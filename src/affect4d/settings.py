"""Project settings, read by Kedro."""

from typing import Any

from kedro.config import OmegaConfigLoader

from affect4d.hooks import AccountHooks, StageClockHooks, TrackingHooks, UnreadSettingsHooks

HOOKS = (UnreadSettingsHooks(), AccountHooks(), StageClockHooks(), TrackingHooks())

CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}
