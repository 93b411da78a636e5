import subprocess
import sys

import pytest

HEAVY = ("torch", "open_clip", "sklearn", "vtkmodules", "mlflow", "distributed", "plotly")
"""What costs seconds to load, and only some nodes need."""


@pytest.mark.slow
def test_knowing_the_pipelines_loads_nothing_heavy():
    """Every ``kedro`` command begins with it, also a run that finds all its results in the stores."""
    script = (
        "import sys; from affect4d.pipeline_registry import register_pipelines; register_pipelines(); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
