"""The FastAPI application: `uvicorn inferq.proxy.app:app`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from inferq.errors import ErrorKind
from inferq.observability.job_log import JobLog
from inferq.observability.logs import configure_logging
from inferq.observability.observer import NO_OBSERVER, RequestObserver, RequestObservers
from inferq.observability.request_metrics import RequestMetrics
from inferq.observability.traces import Traces
from inferq.proxy.http import problems
from inferq.proxy.http.access_log import AccessLog, AccessLogging
from inferq.proxy.http.auth import Authenticator
from inferq.proxy.http.bodies.body_budget import BodyBudget
from inferq.proxy.http.cross_site import CrossSite
from inferq.proxy.http.http_rules import HttpRules
from inferq.proxy.http.openapi import add_problem
from inferq.proxy.http.request_ids import RequestIdentification
from inferq.proxy.http.request_observation import RequestObservation
from inferq.proxy.http.responses import JSON
from inferq.proxy.http.schemas.inference_schemas import ProtocolProblem
from inferq.proxy.http.schemas.service_schemas import Problem
from inferq.proxy.routes import fast_routes, router
from inferq.proxy.routes.api_pages import add_api_pages
from inferq.proxy.routes.ui import add_live_page
from inferq.proxy.services.activity_feed import ActivityFeed
from inferq.proxy.services.dependencies import Services
from inferq.proxy.services.health import HealthChecker
from inferq.proxy.services.metrics import MetricsReader
from inferq.proxy.services.models.model_catalog import ModelCatalog
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.proxy.services.upload_service import UploadService
from inferq.proxy.transport import ConnectionLimits, FastPath, before_stopping
from inferq.queue import AnyProducer, open_producer
from inferq.settings import Settings, load_settings

_TAGS = [
    {"name": "jobs", "description": "Hand in data, come back for the result."},
    {
        "name": "streams",
        "description": "Be told. Beside the event stream there are two WebSockets, which OpenAPI leaves out. "
        '`/job/{job_id}/ws` sends `{"event": "status" | "end", "job": {...}}` for each state of a job. '
        'To `/ws` the client sends bodies of `POST /predict`, or `{"watch": "<job_id>"}`, each with a `ref` '
        'of its own if it likes, and gets `{"event": "accepted", "ref", "job_id"}`, then the states with '
        'that `ref`; or `{"event": "error", "ref", "problem": {...}}`.',
    },
    {"name": "models", "description": "What can be run."},
    {
        "name": "inference protocol",
        "description": "The same as the Open Inference Protocol has it: clients of Triton and KServe work as "
        "they are.",
    },
    {"name": "health", "description": "How the service is."},
    {"name": "about", "description": "What this is."},
]


def create_app(
    settings: Settings | None = None,
    *,
    has_fast_path: bool = True,
    observer: RequestObserver = NO_OBSERVER,
    shares_port: bool = False,
) -> FastAPI:
    """Makes the application. Does no I/O; Redis is connected to when first needed.

    Args:
        settings: All settings; read from the environment if left out.
        has_fast_path: Whether fast routes skip the framework. The answers are the same.
        observer: Is told of each request, as the metrics are.
        shares_port: Whether other processes may answer the next scrape; its own metrics then carry its pid.

    Raises:
        InvalidSettingError: A setting cannot be used.
    """
    settings = settings or load_settings()
    requests = RequestMetrics()
    observers = requests if observer is NO_OBSERVER else RequestObservers([requests, observer])
    configure_logging(settings)
    app = FastAPI(
        title="inferq",
        version=version("inferq"),
        summary="Any ONNX model as an asynchronous inference service.",
        description="POST data to `/predict`, get a `job_id` at once, and read the result at "
        "`/job/{job_id}` when a worker has run the model.",
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services = _make_services(settings, requests, shares_port=shares_port)
    app.state.connection_limits = ConnectionLimits(settings.request_timeout_seconds, services.body_budget)
    app.include_router(router)
    add_api_pages(app)
    if settings.ui != "off":
        add_live_page(app, settings.ui)
    if settings.api_keys:
        app.add_middleware(
            Authenticator,
            api_keys=settings.api_keys,
            tickets=services.producer.stream_tickets,
            open_paths=_find_open_paths(settings),
        )
    app.add_middleware(CrossSite, allowed=settings.allowed_origins.lower().replace(" ", "").split(","))
    app.add_middleware(RequestObservation, observer=observers)
    app.add_middleware(HttpRules)
    access_log = _make_access_log(settings)
    if access_log is not None:
        app.add_middleware(AccessLogging, access_log=access_log)
    app.add_middleware(RequestIdentification)  # the outermost, so that every answer has the ids
    authenticator = (
        Authenticator(app, settings.api_keys, services.producer.stream_tickets) if settings.api_keys else None
    )
    app.state.fast_path = (
        FastPath(app, fast_routes, authenticator, settings.max_body_bytes, observers, access_log)
        if has_fast_path
        else None
    )
    problems.install(app)
    app.openapi = lambda: _make_openapi(app)  # type: ignore[method-assign]
    return app


def _make_access_log(settings: Settings) -> AccessLog | None:
    chosen = settings.access_log
    return None if chosen == "off" else AccessLog(only_errors=chosen == "errors")


def _find_open_paths(settings: Settings) -> list[str]:
    """Returns the paths that need no key, nor do those below them."""
    is_open = {
        "/health": True,
        "/v2/health": True,
        "/metrics": not settings.metrics_keys,
        "/ui": settings.ui != "off",  # static files; the page asks for a key itself
    }
    return [path for path, is_so in is_open.items() if is_so]


def _make_services(settings: Settings, requests: RequestMetrics, *, shares_port: bool) -> Services:
    """Makes what the endpoints share."""
    producer = open_producer(settings, JobLog(settings).note_ended)
    return Services(
        settings=settings,
        producer=producer,
        subscriber=producer.open_subscriber(),
        activity=ActivityFeed(producer),
        health_checker=HealthChecker(producer, settings),
        catalog=ModelCatalog(producer, settings),
        request_rules=RequestRules.from_settings(settings),
        process_pool=ProcessPool(),
        body_budget=BodyBudget(max(settings.max_inflight_bytes, settings.max_body_bytes)),
        metrics=MetricsReader(
            producer, requests, settings, {"process_pid": str(os.getpid())} if shares_port else {}
        ),
        traces=Traces("inferq-proxy"),
        uploads=UploadService(settings),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.traces.start()
    checking = asyncio.create_task(_check_server(services.producer))
    if app.state.fast_path is not None:
        app.state.fast_path.check_middleware()
    with before_stopping(services.close_streams):
        yield
    checking.cancel()
    await services.subscriber.aclose()
    await services.activity.aclose()
    await services.producer.close()
    services.process_pool.close()
    services.uploads.close()
    await asyncio.to_thread(services.traces.stop)


async def _check_server(producer: AnyProducer) -> None:
    """Checks the Redis server now, so that the first request need not wait for it."""
    # where Redis is unavailable or unfit, requests are answered with 503
    await producer.read_max_queued_bytes()


def _make_openapi(app: FastAPI) -> dict[str, Any]:
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
        for schema in (Problem, ProtocolProblem):
            document["components"]["schemas"][schema.__name__] = schema.model_json_schema()
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"},
            "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
        }
        if app.state.services.settings.api_keys:
            _add_keys(document, tuple(_find_open_paths(app.state.services.settings)))
        app.openapi_schema = _drop_framework_errors(document)
    return app.openapi_schema


def _add_keys(document: dict[str, Any], open_paths: tuple[str, ...]) -> None:
    """Says of every operation but those of the open paths that it needs a key, or perhaps a ticket."""
    for path, operations in document["paths"].items():
        if not path.startswith(open_paths):
            takes_ticket = path == "/activity" or path.endswith("/events")
            for operation in operations.values():
                operation["security"] = [{"key": []}, *([{"ticket": []}] if takes_ticket else [])]
                add_problem(operation["responses"], ErrorKind.UNAUTHORIZED, path)


def _drop_framework_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Drops the 422 that FastAPI adds where there is a parameter, if any value of it fits."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if content.get(JSON, {}).get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
                del operation["responses"]["422"]
    return document


app = create_app()
