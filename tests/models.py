"""Shortcuts for tests: the models of a repository, what a worker serves, and the result of one job."""

from pathlib import Path
from typing import Any

import orjson

from inferq.models.model import Model
from inferq.models.providers.execution_providers import DEFAULT_EXECUTION, ExecutionConfig
from inferq.models.repository.model_folder import load_model
from inferq.models.repository.repository import load_each
from inferq.models.repository.repository_scan import ModelFolder
from inferq.settings import Settings
from inferq.worker.loading.batch_probe import plan_after_probe
from inferq.worker.serving.served_models import ServedModels, ServedTable, ServedVersion


def load_models(
    path: Path, execution: ExecutionConfig = DEFAULT_EXECUTION, *, max_rows: int | None = None
) -> dict[str, Model]:
    """Loads the models of a repository, by name; those that cannot be served are left out."""
    return load_each(
        path,
        lambda folder: load_model(folder.path, execution, version=folder.version, max_rows=max_rows),
    ).models


def load_folder(folder: ModelFolder) -> Model:
    """Loads one model of a repository."""
    return load_model(folder.path, version=folder.version)


def serve(folder: Path, settings: Settings) -> ServedModels:
    """Returns what a worker serves that has the model in this folder alone."""
    model = load_model(folder)
    planner = plan_after_probe(model, settings.batch_budget_seconds)
    version = ServedVersion(model, planner, ModelFolder(folder, folder.name))
    return ServedModels(ServedTable({model.name: version}, {model.name: model.document.to_json()}))


def predict(model: Model, data: bytes) -> bytes:
    """Returns the result of one job, whose data is JSON, as a worker stores it."""
    return model.predict_together([model.decode(data)])[0]


def run_job(folder: Path, data: object) -> Any:
    """Returns the parsed result of one job of the model in a folder."""
    return orjson.loads(predict(load_model(folder), orjson.dumps(data)))
