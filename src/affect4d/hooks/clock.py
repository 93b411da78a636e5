"""Seconds of a run, stage by stage."""

import gc

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from affect4d import tracking
from affect4d.memory import keep_freed_memory


class StageClockHooks:
    """Count each node's loading, computing and saving towards its stage (its tag); not MLflow's bookkeeping."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Start from zero, and spare the garbage collector the objects that imports left behind.

        Walking them took 0.1 to 0.2 seconds a time, several times a run.
        """
        gc.freeze()
        keep_freed_memory()
        tracking.start_run()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let everything be collected again: libraries that count their objects at exit would report leaks."""
        gc.unfreeze()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Likewise."""
        gc.unfreeze()

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """The first input of a node starts its clock."""
        tracking.start_clock(node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """The computation has ended."""
        tracking.mark_clock(node.name, stage_of(node))

    @hook_impl
    def before_dataset_saved(self, node: Node) -> None:
        """An output is about to be saved."""
        tracking.resume_clock(node.name)

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, node: Node) -> None:
        """An output is on disk."""
        tracking.mark_clock(node.name, stage_of(node))


def stage_of(node: Node) -> str:
    """The stage a node belongs to: the tag its pipeline gives it."""
    return min(node.tags, default="other")
