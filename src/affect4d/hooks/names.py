"""Names that nothing reads: a misspelt parameter would leave a run on its defaults without a word."""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from affect4d.hooks.started import base_configuration
from affect4d.tracking import flatten

LOGGER = logging.getLogger(__name__)
OF_LAYOUTS = ("corpus_roots", "corpus_patterns", "depth_cameras")
"""Settings in ``globals.yml`` that have one entry a layout; others take any."""
_ASKED_FOR = re.compile(r"runtime_params:\s*([A-Za-z_]\w*)")


class UnknownNamesHooks:
    """Refuse a name under ``--params`` that nothing reads; warn of such names in the user's own files."""

    def __init__(self) -> None:
        self._loader: AbstractConfigLoader | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep where configuration lies; warn of settings."""
        self._loader = context.config_loader
        for name, known in unknown_settings(context.config_loader).items():
            LOGGER.warning("conf/local/globals.yml: nothing reads the setting %s%s", name, _or_else(name, known))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: Mapping[str, Any]) -> None:
        """Look at every name before anything is computed.

        Raises:
            ValueError: If one that was given on the command line is read by no stage.
        """
        loader = self._loader
        if loader is None or not Path(loader.conf_source).is_dir():  # an archive does not tell what it asks for
            return
        given = flatten(run_params.get("runtime_params") or {})
        read, own = read_parameters(pipelines.values()), flatten(loader["parameters"])
        base = flatten(base_configuration(loader, "parameters"))
        known = {*asked_for(Path(loader.conf_source)), *read, *base}
        for name in unread(given, known):
            raise ValueError(
                f"Nothing reads the parameter {name}, given with --params{_or_else(name, known)} Those there are "
                "stand in conf/base/globals.yml and conf/base/parameters; nothing was computed."
            )
        for name in unread(own.keys() - base.keys() - given.keys(), read):
            LOGGER.warning("conf/local: no stage reads the parameter %s%s", name, _or_else(name, known))


def read_parameters(stages: Iterable[Pipeline]) -> frozenset[str]:
    """Dotted names of what the nodes of some pipelines take as a parameter, each with all that is below it."""
    inputs = (name for pipeline in stages for name in pipeline.inputs())
    return frozenset(name.removeprefix("params:") for name in inputs if name.startswith("params:"))


def unread(names: Iterable[str], read: Iterable[str]) -> list[str]:
    """The dotted names that are neither among those that are read nor below or above one; ``_`` begins a template."""
    kept = tuple(read)
    return sorted(
        name
        for name in names
        if not name.startswith("_")
        and not any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in kept)
    )


def asked_for(conf: Path) -> frozenset[str]:
    """What the files of a configuration folder take from the command line by ``${runtime_params:NAME}``."""
    files = (file for file in conf.rglob("*.y*ml") if file.is_file())
    return frozenset(name for file in files for name in _ASKED_FOR.findall(file.read_text(encoding="utf-8")))


def unknown_settings(loader: AbstractConfigLoader) -> dict[str, tuple[str, ...]]:
    """The user's settings that ``conf/base/globals.yml`` has not, each with the names that stand there."""
    given, base = loader["globals"], base_configuration(loader, "globals")
    unknown = {name: tuple(base) for name in given if name not in base}
    for group in OF_LAYOUTS:
        there = tuple(f"{group}.{layout}" for layout in base[group] or {})
        unknown |= {f"{group}.{name}": there for name in given[group] or {} if f"{group}.{name}" not in there}
    return unknown


def _or_else(name: str, known: Iterable[str]) -> str:
    """The end of the sentence: the name that was probably meant."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."
