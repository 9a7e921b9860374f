"""The FastAPI application: `uvicorn inferq.proxy.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from inferq.logs import configure_logging
from inferq.proxy import problems
from inferq.proxy.answers import JSON
from inferq.proxy.catalog import Catalog
from inferq.proxy.routes import router
from inferq.proxy.schemas import Problem
from inferq.queue.producer import Producer
from inferq.settings import Settings, load_settings

_TAGS = [
    {"name": "jobs", "description": "Hand in data, come back for the result."},
    {"name": "models", "description": "What can be run."},
    {"name": "health", "description": "How the service is."},
    {"name": "about", "description": "What this is."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Makes the application. Does no I/O; Redis is connected to when first needed.

    Args:
        settings: All settings; read from the environment if left out.

    Raises:
        InvalidSettingError: A setting cannot be used.
    """
    settings = settings or load_settings()
    configure_logging(settings)
    app = FastAPI(
        title="inferq",
        version=version("inferq"),
        summary="Any ONNX model as an asynchronous inference service.",
        description="POST data to `/predict`, get a `job_id` at once, and read the result at "
        "`/job/{job_id}` when a worker has run the model.",
        openapi_tags=_TAGS,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.producer = Producer.from_settings(settings)
    app.state.catalog = Catalog(app.state.producer, settings.max_rows)
    app.include_router(router)
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.producer.close()


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schema that the problem answers refer to."""
    if not app.openapi_schema:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        app.openapi_schema = _without_framework_errors(document)
    return app.openapi_schema


def _without_framework_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Drops the 422 that FastAPI adds wherever there is a parameter: ours are strings, which always fit."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if JSON in content:
                del operation["responses"]["422"]
    return document


app = create_app()
