"""What happens beside the pipelines: the stage clock, words before a run, its account, and every run in MLflow."""

from affect4d.hooks.account import AccountHooks, changed_parameters
from affect4d.hooks.clock import StageClockHooks
from affect4d.hooks.early import DeviceHooks, OwnArtefactsHooks, UnreadSettingsHooks, WritableHooks, unread_settings
from affect4d.hooks.names import UnknownNamesHooks
from affect4d.hooks.records import MlflowOptions, TrackingHooks

__all__ = [
    "AccountHooks",
    "DeviceHooks",
    "MlflowOptions",
    "OwnArtefactsHooks",
    "StageClockHooks",
    "TrackingHooks",
    "UnknownNamesHooks",
    "UnreadSettingsHooks",
    "WritableHooks",
    "changed_parameters",
    "unread_settings",
]
