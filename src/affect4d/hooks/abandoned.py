"""Runs that ended without a word: killed by the system, for want of memory or power. MLflow takes them for running."""

import platform

import psutil

PROCESS = "process"
"""Tag of a run: whose it is, as ``computer:number:seconds`` (when it began, after the computer did)."""
ACCURACY = 1.0
"""Seconds; the clock by which both are told may be set meanwhile."""
ENDED = "its process ended without a word: killed, out of memory, or the computer stopped"


def this_process() -> str:
    """What a run is tagged with."""
    process = psutil.Process()
    return f"{platform.node()}:{process.pid}:{_begun(process):.2f}"


def end_abandoned(experiment_id: str) -> list[str]:
    """Close, as killed, an experiment's runs whose process on this computer is gone, and their parts.

    Returns:
        The runs' identifiers.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    gone = {run.info.run_id for run in running if _is_gone(run.data.tags.get(PROCESS, ""))}
    parts = {run.info.run_id for run in running if run.data.tags.get("mlflow.parentRunId") in gone}
    for run_id in gone | parts:
        client.set_tag(run_id, "error", ENDED)
        client.set_terminated(run_id, "KILLED")
    return sorted(gone | parts)


def _is_gone(process: str) -> bool:
    """Whether a process of this computer has ended; of others, and of runs that do not say, nobody knows."""
    computer, *rest = process.rsplit(":", maxsplit=2)
    if computer != platform.node() or len(rest) < 2:
        return False
    try:
        return abs(_begun(psutil.Process(int(rest[0]))) - float(rest[1])) > ACCURACY
    except psutil.NoSuchProcess:
        return True


def _begun(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())
