"""Models that come with the package, and where a name leads."""

import re
from pathlib import Path

from affect4d.inference.bundle import BUNDLE_FILE, BundleError

PACKAGED = Path(__file__).parent / "models"
_MLFLOW = re.compile(r"(runs|models):/")
WEIGHTS_PATTERN = "*.safetensors"


def packaged_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(file.parent.name for file in PACKAGED.glob(f"*/{BUNDLE_FILE}")))


def bundle_folder(model: str | Path) -> Path:
    """The bundle of a name: a folder, or one of the packaged models.

    Raises:
        BundleError: If it is neither; lists what there is.
    """
    folder = Path(model)
    if (folder / BUNDLE_FILE).is_file():
        return folder
    if str(model) in packaged_models():
        return PACKAGED / str(model)
    if _MLFLOW.match(str(model)):
        raise BundleError(
            f"{model} is MLflow's name of a model: mlflow.pyfunc.load_model({str(model)!r}).predict([…]) answers "
            f"with it, and so does `kedro run --pipeline=predict --params model={model},input=…`. Here, give the "
            f"folder of a bundle, as mlflow.artifacts.download_artifacts({str(model)!r}) fetches one."
        )
    if folder.is_dir():
        raise BundleError(f"The folder {folder} is no bundle: it has no {BUNDLE_FILE}; see docs/predict.md.")
    raise BundleError(
        f"There is no model {str(model)!r}: give the folder of a bundle, or one of the packaged models: "
        f"{', '.join(packaged_models()) or 'this installation has none'}."
    )


def last_written(folder: Path) -> int:
    """When a bundle was last written, nanoseconds: tells a model from one that was trained anew in its place."""
    files = [*folder.glob(WEIGHTS_PATTERN), *folder.glob(BUNDLE_FILE)]
    return max((file.stat().st_mtime_ns for file in files), default=0)
