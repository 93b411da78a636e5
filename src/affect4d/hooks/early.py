"""What is said before anything is computed: settings that are not read, a GPU that is not there, closed folders."""

import logging
import os
import re
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

LOGGER = logging.getLogger(__name__)
BESIDE_LOCAL = ("local", "ci")
"""Environments that are nobody's to be told about: the user's own, and the tests', which leave it out on purpose."""
TRAIN = re.compile(r"params:.+\.train")
"""Parameters that say how a model is trained."""


class UnreadSettingsHooks:
    """Say which of the user's own settings a run leaves out: Kedro reads ``conf/base`` and one other environment."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Warn before anything is computed."""
        environment = context.config_loader.env
        unread = unread_settings(Path(context.config_loader.conf_source), environment)
        if unread:
            LOGGER.warning(
                "NOT READ under --env=%s: %s. To have both, run without --env after: cp conf/%s/parameters.yml "
                "conf/local/parameters_%s.yml; or say with --params what those files say.",
                environment,
                ", ".join(unread),
                environment,
                environment,
            )


class DeviceHooks:
    """Say before hours of drawing that the GPU a training asks for is not there."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Look for it where a stage of this run names it; torch, which costs seconds, is not loaded for any other run.

        Raises:
            ValueError: If CUDA is asked for and there is no GPU that it reaches.
        """
        options = (catalog[name].load() for name in pipeline.inputs() if TRAIN.fullmatch(name))
        for device in sorted({train.device for train in options} - {"auto", "cpu"}):
            from affect4d.training.device import choose_device

            choose_device(device)


class WritableHooks:
    """Say before anything is computed that a folder may not be written."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Look at every folder of this machine that the run writes its artefacts to.

        Raises:
            PermissionError: If this user may not write there, or nobody: a file system mounted for reading.
        """
        for name in sorted(pipeline.all_outputs()):
            dataset = catalog.get(name)
            path = getattr(dataset, "_filepath", None)
            if path is None or getattr(dataset, "_protocol", "file") != "file":
                continue
            folder = next(place for place in Path(path).absolute().parents if place.exists())
            if not os.access(folder, os.W_OK):
                raise PermissionError(
                    f"The folder {folder} may not be written, and {name} belongs there. Make it writable "
                    f"(chmod -R u+w, as its owner), or run in a project folder of your own; nothing was computed."
                )


def unread_settings(conf: Path, environment: str | None) -> list[str]:
    """The files of ``conf/local`` that a run in another environment leaves out, with their folders' names."""
    if environment in (None, "", *BESIDE_LOCAL):
        return []
    found = sorted(file for kind in ("*.yml", "*.yaml", "*.json") for file in (conf / "local").rglob(kind))
    return [file.relative_to(conf.parent).as_posix() for file in found]
