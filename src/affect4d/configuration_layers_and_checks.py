"""Configuration of a run: the layers of ``conf/``, which parameters are read, and which differ from ``conf/base``."""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader, OmegaConfigLoader
from kedro.pipeline import Pipeline

LOGGER = logging.getLogger(__name__)
WITHOUT_LOCAL = ("ci",)
"""Environments that leave ``conf/local`` out on purpose: tests do not depend on the user's own settings."""
FORMER_PIPELINES: Mapping[str, str] = {"fabricate": "generate", "bundle": "package"}
"""Former name of a pipeline → its name; :class:`affect4d.hooks.PreflightHooks` warns."""
FORMER_PARAMETERS: Mapping[str, str] = {"people": "test_subjects", "damages": "corruptions"}
"""Likewise for names given with --params; options that moved warn by themselves (affect4d.renamed_options)."""
MACHINE_PARAMETERS = (
    "ict_folder",
    "livelink_folder",
    "root",
    "folder",
    "folders",
)  # parameters that name a place on one machine
LAYOUT_SETTINGS = ("corpus_roots", "corpus_patterns", "depth_cameras")
"""Settings in ``globals.yml`` with one entry for each layout."""
_RUNTIME_PARAMETER = re.compile(r"runtime_params:\s*([A-Za-z_]\w*)")


class LayeredConfigLoader(OmegaConfigLoader):
    """Reads ``conf/base``, then the environment of ``--env``, then ``conf/local``, then ``--params``."""

    def _read_raw_config(self, key: str) -> Any:
        base, environment, base_path, environment_path, processed = super()._read_raw_config(key)
        local = Path(self.conf_source) / self.default_run_env
        if self.env not in (None, "", self.default_run_env, self.base_env, *WITHOUT_LOCAL) and local.is_dir():
            patterns = [*self.config_patterns[key]]
            environment = environment | self._read_dir_configs(str(local), patterns, key, processed)
        if self.env in WITHOUT_LOCAL and key == "parameters" and any(local.rglob("*.yml")):
            LOGGER.warning("conf/local is not read with --env=%s: use --params for values of your own.", self.env)
        return base, environment, base_path, environment_path, processed


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted names: ``{"a": {"b": 1}}`` → ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def base_configuration(loader: AbstractConfigLoader, key: str) -> dict[str, Any]:
    """The values of ``conf/base`` alone; the run's own resolver of ``${globals:…}`` is put back."""
    try:
        return OmegaConfigLoader(str(loader.conf_source), base_env="base", default_run_env="base")[key]
    finally:
        if isinstance(loader, OmegaConfigLoader):
            loader._register_globals_resolver()


def parameter_inputs(pipelines: Iterable[Pipeline]) -> frozenset[str]:
    """Dotted names of the parameters that nodes of some pipelines take, with the seed; each stands for all below it."""
    inputs = (name for pipeline in pipelines for name in pipeline.inputs())
    return frozenset({"seed", *(name.removeprefix("params:") for name in inputs if name.startswith("params:"))})


def unread_parameters(names: Iterable[str], read: Iterable[str]) -> list[str]:
    """Dotted names that are neither among those that are read nor below or above one; ``_`` begins a template."""
    kept = tuple(read)
    return sorted(
        name
        for name in names
        if not name.startswith("_")
        and not any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in kept)
    )


def runtime_parameters(conf: Path) -> frozenset[str]:
    """Names that the files of a configuration folder take from the command line by ``${runtime_params:NAME}``."""
    files = (file for file in conf.rglob("*.y*ml") if file.is_file())
    return frozenset(name for file in files for name in _RUNTIME_PARAMETER.findall(file.read_text(encoding="utf-8")))


def used_parameters(parameters: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    """The flattened parameters that some node of a pipeline takes."""
    names = parameter_inputs([pipeline])
    return {
        path: value
        for path, value in parameters.items()
        if any(path == name or path.startswith(f"{name}.") for name in names)
    }


def check_parameters(loader: AbstractConfigLoader, given: Mapping[str, Any], pipelines: Iterable[Pipeline]) -> None:
    """Refuse misspelt parameters of the command line (ValueError); warn of those in ``conf/local`` that none reads."""
    if not Path(loader.conf_source).is_dir():  # an archive of configuration has no files to read
        return
    given = flatten(given)
    read = parameter_inputs(pipelines)
    own, base = flatten(loader["parameters"]), flatten(base_configuration(loader, "parameters"))
    known = {*runtime_parameters(Path(loader.conf_source)), *read, *base}
    for name in unread_parameters(given, known):
        raise ValueError(
            f"Nothing reads the parameter {name}, given with --params{_suggestion(name, known)} All parameters "
            "stand in conf/base/globals.yml and conf/base/parameters; nothing was computed."
        )
    for name in unread_parameters(own.keys() - base.keys() - given.keys(), read):
        LOGGER.warning("conf/local: no stage reads the parameter %s%s", name, _suggestion(name, known))


def check_settings(loader: AbstractConfigLoader) -> None:
    """Warn of the user's settings that ``conf/base/globals.yml`` lacks."""
    from affect4d.scans.corpora import CORPORA

    given, base = loader["globals"], base_configuration(loader, "globals")
    unknown = {name: tuple(base) for name in given if name not in base}
    for group in LAYOUT_SETTINGS:
        known = tuple(f"{group}.{layout}" for layout in CORPORA)
        unknown |= {f"{group}.{name}": known for name in given[group] or {} if f"{group}.{name}" not in known}
    for name, known in unknown.items():
        LOGGER.warning("conf/local/globals.yml: nothing reads the setting %s%s", name, _suggestion(name, known))


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def changed_parameters(loader: AbstractConfigLoader, pipeline: Pipeline) -> dict[str, Any]:
    """The parameters of a run that differ from ``conf/base``, by dotted name.

    Left out are the choice of the corpus and other corpora's entries, places on this machine and the number of
    processes: a result states the first itself and does not depend on the others.
    """
    given = flatten(loader["parameters"])
    known = flatten(base_configuration(loader, "parameters"))
    own = _entries_of(str(given.get("raw_corpus.name")), given)
    return {
        path: value
        for path, value in used_parameters(given, pipeline).items()
        if (path not in known or known[path] != value)
        and path != "raw_corpus.name"
        and not path.startswith("engine.")
        and not set(path.split(".")) & set(MACHINE_PARAMETERS)
        and (path.startswith(own) or not path.startswith("raw_corpus.known."))
    }


def _entries_of(corpus: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Beginnings of the parameters that describe a corpus and, of a mixture, its parts."""
    parts = given.get(f"raw_corpus.known.{corpus}.parts") or corpus.split("+")
    return tuple(f"raw_corpus.known.{name}." for name in dict.fromkeys([corpus, *parts]))


def corpus_parameters(raw_corpus: Mapping[str, Any]) -> str:
    """Corpus of a run as it is typed after ``--params``; a needed folder is named by a placeholder.

    >>> corpus_parameters({"name": "open-4dfer-ict", "recipe": {"face": "ict_facekit"}})
    'corpus=open-4dfer-ict,ict_folder=FOLDER_OF_ICT_FACEKIT'
    """
    named = f"corpus={raw_corpus['name']}"
    parts = raw_corpus.get("parts", {"": raw_corpus}).values()
    recorded = any("recordings" in part for part in parts)
    on_ict = recorded or any(part.get("recipe", {}).get("face") == "ict_facekit" for part in parts)
    folders = ("livelink_folder=FOLDER_OF_RECORDINGS",) * recorded + ("ict_folder=FOLDER_OF_ICT_FACEKIT",) * on_ict
    return ",".join([named, *folders])
