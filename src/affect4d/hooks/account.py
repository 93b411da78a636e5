"""What a run was started with: parameters that differ from the base, and the commit."""

from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from affect4d import tracking
from affect4d.hooks.started import base_configuration, code_state, used_parameters

PLACES = ("ict_folder", "root")
"""Parameters that say where something lies on one machine."""


class AccountHooks:
    """Be ready to tell what a run was started with, for whoever gives an account of a result."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep where configuration and code lie."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Nothing is read before somebody asks."""
        context = self._context
        if context is not None:
            loader, project = context.config_loader, Path(context.project_path)
            tracking.tell_start(
                lambda: {"changes": changed_parameters(loader, pipeline), "commit": short_commit(project)}
            )


def changed_parameters(loader: AbstractConfigLoader, pipeline: Pipeline) -> dict[str, Any]:
    """The parameters that a run reads and that are not as in ``conf/base``, by dotted name.

    Left out are which corpus it is, what other corpora are, where things lie and how many processes work on it: a
    result tells the first itself, and does not depend on the others.
    """
    given = tracking.flatten(loader["parameters"])
    known = tracking.flatten(base_configuration(loader, "parameters"))
    own = f"raw_corpus.known.{given.get('raw_corpus.name')}."
    return {
        path: value
        for path, value in used_parameters(given, pipeline).items()
        if (path not in known or known[path] != value)
        and path != "raw_corpus.name"
        and not path.startswith("engine.")
        and path.rpartition(".")[2] not in PLACES
        and (path.startswith(own) or not path.startswith("raw_corpus.known."))
    }


def short_commit(project: Path) -> str:
    """Git commit of the project, with a ``+`` where its files differ; "" where git cannot tell."""
    state = code_state(project)
    return f"{state['git.commit']}{'+' if state['git.dirty'] == 'true' else ''}" if state else ""
