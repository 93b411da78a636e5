"""What SLURM would be given: checked as text, for there is no SLURM in a test."""

import re

import pytest

from affect4d.engine import EngineOptions
from affect4d.engine.clusters import job_queue


@pytest.fixture
def script(tmp_path):
    engine = EngineOptions(
        slurm={
            "jobs": 3,
            "cores": 16,
            "memory": "64GB",
            "walltime": "02:30:00",
            "queue": "cpu",
            "account": "faces",
            "interface": "lo",
            "shared_folder": tmp_path,
            "directives": ["--qos=short"],
            "prologue": ["module load mesa"],
        }
    )
    cluster = job_queue(engine.slurm, engine)
    yield cluster.job_script()
    cluster.close()


def test_the_job_asks_for_what_the_parameters_say(script):
    for line in ("-p cpu", "-A faces", "-n 1", "--cpus-per-task=16", "--mem=60G", "-t 02:30:00", "--qos=short"):
        assert f"#SBATCH {line}" in script, line
    assert script.startswith("#!")


def test_the_job_starts_one_thread_a_worker_and_frees_the_cores_of_libraries(script):
    assert "module load mesa" in script
    assert "export LP_NUM_THREADS=1" in script
    assert "export OMP_NUM_THREADS=1" in script
    command = script.splitlines()[-1]
    assert {"--nthreads 1", "--nworkers 16", "--nanny"} <= set(re.findall(r"--\w+(?: \d+)?(?= )", command))


def test_the_job_speaks_tls_with_certificates_of_this_run_that_others_cannot_read(script, tmp_path):
    assert "dask_worker tls://127.0.0.1:" in script
    key = re.search(r"--tls-key (\S+)", script)[1]
    assert key.startswith(str(tmp_path))
    assert (tmp_path / key).stat().st_mode & 0o077 == 0


def test_a_network_of_ones_own_needs_no_certificates(tmp_path):
    engine = EngineOptions(slurm={"shared_folder": tmp_path, "interface": "lo"}, plain_network=True)
    cluster = job_queue(engine.slurm, engine)
    script = cluster.job_script()
    cluster.close()
    assert "dask_worker tcp://127.0.0.1:" in script
    assert "--tls" not in script
