"""Which version of an artefact a run reads."""

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.io.core import AbstractVersionedDataset, Version
from kedro.pipeline import Pipeline


class OwnArtefactsHooks:
    """Let a run read what it wrote itself, also where another one works on the same corpus at the same time.

    Kedro saves under the time a run began, but loads the newest version there is: of two runs with different seeds the
    slower would go on with a plan, or a model, of the other's.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Whatever this run saves, it loads by its own version."""
        for name in pipeline.all_outputs():
            dataset = catalog.get(name)
            if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
                own = dataset._version.save
                if own is not None and dataset._version.load is None:
                    dataset._version = Version(own, own)
