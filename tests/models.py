"""Shortcuts for tests: the models of a repository, and the result of one job."""

from pathlib import Path
from typing import Any

import orjson

from inferq.models.execution_providers import DEFAULT_EXECUTION, ExecutionConfig
from inferq.models.model import Model
from inferq.models.model_folder import load_model
from inferq.models.repository import load_each


def load_models(
    path: Path, execution: ExecutionConfig = DEFAULT_EXECUTION, *, max_rows: int | None = None
) -> dict[str, Model]:
    """Loads the models of a repository, by name; those that cannot be served are left out."""
    return load_each(path, lambda folder: load_model(folder, execution, max_rows=max_rows)).models


def predict(model: Model, data: bytes) -> bytes:
    """Returns the result of one job, whose data is JSON, as a worker stores it."""
    return model.predict_together([model.decode(data)])[0]


def run_job(folder: Path, data: object) -> Any:
    """Returns the parsed result of one job of the model in a folder."""
    return orjson.loads(predict(load_model(folder), orjson.dumps(data)))
