"""What is done with a model before it serves: it is loaded, warmed up, and probed."""

from inferq.models.model import Model
from inferq.models.providers.execution_providers import read_execution_config
from inferq.models.repository.model_folder import load_model
from inferq.models.repository.repository_scan import ModelFolder
from inferq.models.sessions.run_handle import RunHandle
from inferq.settings import Settings
from inferq.worker.loading.batch_probe import plan_after_probe
from inferq.worker.serving.served_models import ServedVersion


def prepare(folder: ModelFolder, settings: Settings, handle: RunHandle | None = None) -> ServedVersion:
    """Loads a model, warms it up, and finds out by a probe whether its jobs may share a run.

    Args:
        folder: The model's folder.
        settings: Threads, the most rows and pixels of a job, and how long a batch may take.
        handle: Lets another thread stop that.

    Raises:
        InvalidModelError: It cannot be served.
        ModelError: It was stopped.
    """
    model = load_and_warm_up(folder, settings, handle)
    return ServedVersion(model, plan_after_probe(model, settings.batch_budget_seconds, handle), folder)


def load_and_warm_up(folder: ModelFolder, settings: Settings, handle: RunHandle | None = None) -> Model:
    """Does the same without the probe; arguments and errors as for `prepare`."""
    model = load_model(
        folder.path,
        read_execution_config(settings),
        version=folder.version,
        max_rows=settings.max_rows,
        max_image_pixels=settings.max_image_pixels,
        split_rows=settings.split_rows,
    )
    model.warm_up(handle)
    return model
