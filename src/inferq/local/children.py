"""The processes that `inferq up` starts: their command lines and their environment."""

import os
import sys

from inferq.local.service_plan import ServicePlan
from inferq.local.supervisor import Child

_WORKER_STOP_SECONDS = 7.0
"""How long a worker may take to finish its job: less than the supervisor gives all children together."""
_PYTHON = [sys.executable, "-P", "-m"]
"""-P: files in the current folder are no modules of ours."""


def make_server(plan: ServicePlan) -> Child | None:
    """Makes the embedded server; None where an outside one is used."""
    if plan.data_directory is None:
        return None
    folder = str(plan.data_directory.server_folder)
    command = [*_PYTHON, "inferq.local.embedded", folder, str(plan.redis_port)]
    return Child("valkey", command, _make_environment(plan), [plan.data_directory.lock], is_server=True)


def make_object_server(plan: ServicePlan) -> Child | None:
    """Makes the object store; None where none is wanted."""
    if plan.data_directory is None or not plan.object_ports:
        return None
    folder, ports = plan.data_directory.object_folder, map(str, plan.object_ports)
    command = [*_PYTHON, "inferq.local.object_server", str(folder), *ports]
    lock = plan.data_directory.lock
    return Child("seaweedfs", command, _make_environment(plan), [lock], is_server=True)


def make_proxies(plan: ServicePlan) -> list[Child]:
    """Makes the proxies; several share one port."""
    command = [*_PYTHON, "inferq", "proxy", "--host", plan.host, "--port", str(plan.port)]
    if plan.proxies > 1:
        command.append("--share-port")
    names = ["proxy"] if plan.proxies == 1 else [f"proxy-{number}" for number in range(1, plan.proxies + 1)]
    return [Child(name, command, _make_environment(plan)) for name in names]


def make_workers(plan: ServicePlan) -> list[Child]:
    """Makes the workers."""
    command = [*_PYTHON, "inferq.worker.main"]
    names = [f"worker-{number}" for number in range(1, plan.workers + 1)]
    return [Child(name, command, _make_environment(plan)) for name in names]


def _make_environment(plan: ServicePlan) -> dict[str, str]:
    settings = plan.settings
    environment = os.environ | {
        "INFERQ_REDIS_URL": settings.redis_url,
        "INFERQ_MODELS_DIR": str(settings.models_dir),
        "INFERQ_BLOB_STORE": settings.blob_store,
        "INFERQ_SHUTDOWN_SECONDS": str(min(_WORKER_STOP_SECONDS, settings.shutdown_seconds)),
        "PYTHONUNBUFFERED": "1",
    }
    if plan.models.only_model:
        environment["INFERQ_DEFAULT_MODEL"] = settings.default_model
    if not settings.model_threads:
        cores = os.process_cpu_count() or 1
        environment["INFERQ_MODEL_THREADS"] = str(max(1, cores // plan.workers))
    if settings.log_format == "auto":
        environment["INFERQ_LOG_FORMAT"] = "console"  # no child has a terminal, but people read this one
    return environment
