"""Beside the pipelines: the stage clock, words before a run, its account, its own artefacts, every run in MLflow."""

from affect4d.hooks.account import AccountHooks, changed_parameters
from affect4d.hooks.clock import StageClockHooks
from affect4d.hooks.early import DeviceHooks, UnreadSettingsHooks, WritableHooks, unread_settings
from affect4d.hooks.names import UnknownNamesHooks
from affect4d.hooks.records import MlflowOptions, TrackingHooks
from affect4d.hooks.versions import OwnArtefactsHooks

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
