"""Every setting of inferq, read from the environment (prefix `INFERQ_`) in this one place."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, AliasGenerator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from inferq.errors import InvalidSettingError
from inferq.model_names import MODEL_NAME_PATTERN, NAME
from inferq.object_urls import BUCKET_NAME

_CHOICE = f"!?{NAME}(@{NAME})?"
_API_KEY = f"{NAME}:[0-9a-f]{{64}}"
_ORIGIN = r"(\*|null|[a-z][a-z0-9+.-]*://[^\s,/]+)"
_SIGNING_KEY = r"whsec_([A-Za-z0-9+/]{4}){8,}([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?"
_HOST_PATTERN = r"(\*\.)?[A-Za-z0-9._:\[\]-]+"
_BUCKET = rf"s3://{BUCKET_NAME}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?"
_HOSTS = f"{_HOST_PATTERN}( *, *{_HOST_PATTERN})*"
_SECRETS = {
    "redis_url": "a URL such as redis://localhost:6379/0",
    "api_keys": "pairs name:sha256 with commas between; `inferq key NAME` makes one",
    "webhook_secret": "whsec_ and at least 24 random bytes in base64; several with spaces or commas between",
}
"""What is never shown, and what is said to be expected instead."""

EARLIER_NAMES = {
    "redis_timeout_seconds": "redis_timeout",
    "model_load_timeout_seconds": "warm_up_seconds",
    "lower_priority_share": "lower_share",
    "job_ttl_seconds": "job_ttl",
    "result_ttl_seconds": "result_ttl",
    "idempotency_ttl_seconds": "idempotency_ttl",
    "run_timeout_seconds": "timeout_seconds",
    "max_run_timeout_seconds": "max_timeout_seconds",
    "run_stop_grace_seconds": "terminate_seconds",
    "simulated_run_seconds": "simulated_seconds",
    "batch_budget_seconds": "batch_budget",
}
"""Settings that had another name before. Its variable still works where the new one is not set."""

Seconds = Annotated[float, Field(gt=0)]


def name_variables(field: str) -> list[str]:
    """Returns the environment variables of a setting. The first one that is set counts."""
    names = [field, EARLIER_NAMES[field]] if field in EARLIER_NAMES else [field]
    return [f"INFERQ_{name.upper()}" for name in names]


class Settings(BaseSettings):
    """The settings of every program of inferq. Names of times end in `_seconds`, of sizes in `_bytes`."""

    model_config = SettingsConfigDict(
        env_prefix="INFERQ_",
        env_ignore_empty=True,  # which is how Compose passes on what is not set
        frozen=True,
        extra="forbid",
        alias_generator=AliasGenerator(validation_alias=lambda field: AliasChoices(*name_variables(field))),
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    # Redis or Valkey

    redis_url: Annotated[str, Field(repr=False)] = "redis://localhost:6379/0"
    """Where Redis or Valkey is: `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://`, or
    `redis+cluster://` (with TLS `rediss+cluster://`) and some nodes of a Redis Cluster; several with commas
    between: a shard on each."""
    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """How many shards a Redis Cluster has: key spaces `{inferq-0}:` and on, each on one of its nodes."""
    key_prefix: str = ""
    """Goes before every key, on a Redis Cluster behind the name of the shard."""
    redis_timeout_seconds: Seconds = 1.5
    """Longest time the proxy waits for Redis before it answers 503, and 1 s more for each MB of a value. A
    worker gives up a connection that carries nothing for so long, at least 5 s."""

    # models

    default_model: Annotated[str, Field(pattern=MODEL_NAME_PATTERN)] = "iris"
    """The model of a request that names none. Where this is not set and workers have one model alone, it is
    that one."""
    models_dir: Path = Path("models")
    """The model repository: one folder with a `model.onnx` for each model."""
    models: Annotated[str, Field(pattern=f"^({_CHOICE}( *, *{_CHOICE})*)?$")] = ""
    """Models that a worker serves, with commas between: `iris` (all its versions), `iris@2`, and behind a `!`
    what it does not serve; empty: all."""
    strict_models: bool = False
    """Whether a worker ends where a model cannot be served, instead of leaving that one out."""
    models_poll_seconds: Annotated[float, Field(ge=0)] = 2.0
    """How often a worker looks for changes in the model repository; 0: only when it is told to."""
    max_loaded_models: Annotated[int, Field(ge=0)] = 0
    """How many models and versions a worker keeps in memory, those that were used last; others are loaded
    again when a job comes; 0: all."""
    model_load_timeout_seconds: Annotated[float, Field(ge=0.1)] = 600.0
    """How long a worker may take to load, warm up and try one model before it leaves that one out."""
    providers: Annotated[str, Field(pattern=r"^ *[A-Za-z0-9_]+( *, *[A-Za-z0-9_]+)* *$")] = "auto"
    """Execution providers of ONNX Runtime that run models, the preferred one first: `cuda`, `tensorrt`,
    `openvino`, `coreml`, `cpu`, with commas between; `auto`: `cuda` where ONNX Runtime has it and there is a
    GPU, else `cpu`."""
    strict_providers: bool = False
    """Whether a model is refused where one of these providers is not used, instead of running on the next,
    at last on the CPU."""
    memory_arena: bool = True
    """Whether ONNX Runtime keeps the memory of past runs on the CPU for the next ones."""
    graph_optimization: Literal["off", "basic", "extended", "all"] = "all"
    """How far ONNX Runtime optimizes graphs when it loads them."""
    gpu_mem_limit_bytes: Annotated[int, Field(ge=0)] = 0
    """Most memory of a GPU that each model may take by CUDA, in bytes; 0: no limit."""

    data_dir: Path = Path(".inferq")
    """Where `inferq up` keeps the embedded server's data, and its blob store unless `INFERQ_BLOB_STORE` names
    another."""

    # where bytes live

    blob_store: Annotated[str, Field(pattern=f"^(file:///.+|{_BUCKET})?$")] = ""
    """Where data and results above `INFERQ_BLOB_BYTES` are kept instead of in Redis: a folder that proxies
    and workers share, as `file:///var/lib/inferq/blobs`, or a bucket, as `s3://bucket/prefix`; empty:
    nowhere, so Redis holds all."""
    blob_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    """Longest data or result that Redis holds where there is a blob store, in bytes."""
    blob_reserve_bytes: Annotated[int, Field(ge=0)] = 1024 * 1024 * 1024
    """Free space of its disk that the blob store leaves, in bytes; with less, the proxy answers 503."""
    blob_grace_seconds: Annotated[float, Field(ge=1)] = 3600.0
    """How old something in the blob store must be that no key in Redis names before a worker removes it."""

    # access

    api_keys: Annotated[str, Field(pattern=f"^({_API_KEY}(,{_API_KEY})*)?$", repr=False)] = ""
    """Who may use the proxy: `name:sha256` pairs with commas between, as `inferq key NAME` makes them;
    empty: everybody."""
    metrics_keys: Annotated[str, Field(pattern=f"^({NAME}( *, *{NAME})*)?$")] = ""
    """Names of the keys of `INFERQ_API_KEYS` with which `/metrics` may be read, with commas between; empty:
    everybody may, without a key."""
    allowed_origins: Annotated[str, Field(pattern=f"^({_ORIGIN}( *, *{_ORIGIN})*)?$")] = ""
    """Web pages of other sites that may use the proxy: origins such as `https://app.example.com`, with commas
    between; `*`: all; empty: none."""
    ui: Literal["off", "read-only", "on"] = "on"
    """Whether the live page is at `/ui`; `read-only`: without what submits or changes jobs. What the API
    allows is for its keys to say."""

    # webhooks

    webhook_secret: Annotated[
        str, Field(pattern=f"^({_SIGNING_KEY}([ ,]+{_SIGNING_KEY})*)?$", repr=False)
    ] = ""
    """Signs webhooks: `whsec_` and at least 24 random bytes in base64; several, spaces or commas between,
    while receivers change over; empty: webhooks are off."""
    webhook_allowed_hosts: Annotated[str, Field(pattern=f"^({_HOSTS})?$")] = ""
    """Hosts that a webhook may name, with commas between; `*.example.com`: every host below it; empty: every
    public host."""
    webhook_private_addresses: bool = False
    """Whether webhooks may go to addresses that are not public, this machine's own among them."""
    webhook_attempts: Annotated[int, Field(ge=1)] = 8
    """How often the delivery of a webhook is tried before it is given up."""
    webhook_timeout_seconds: Seconds = 10.0
    """Longest time that one try may take, from the name's resolution to the receiver's answer."""

    # inputs and outputs by reference

    input_allowed_hosts: Annotated[str, Field(pattern=rf"^({_HOSTS}|\*)?$")] = ""
    """Hosts from which workers fetch the files that data names by URLs, with commas between;
    `*.example.com`: every host below it; `*`: every public host; empty: none."""
    input_allowed_buckets: Annotated[str, Field(pattern=f"^({_BUCKET}( *, *{_BUCKET})*)?$")] = ""
    """Buckets from which workers read the objects that data names, with commas between, as `s3://bucket` or
    `s3://bucket/prefix`; empty: none."""
    input_private_addresses: bool = False
    """Whether these hosts may have addresses that are not public, this machine's own among them."""
    input_timeout_seconds: Seconds = 30.0
    """Longest time that the files of one job may take to be fetched."""
    max_input_bytes: Annotated[int, Field(gt=0)] = 64 * 1024 * 1024
    """Most bytes of all files that one job has fetched, and of an upload; beyond it the job fails as
    `input-too-large`."""

    output_allowed_buckets: Annotated[str, Field(pattern=f"^({_BUCKET}( *, *{_BUCKET})*)?$")] = ""
    """Buckets to which workers write results where a request asks for it, with commas between, as `s3://bucket`
    or `s3://bucket/prefix`; empty: none."""
    upload_ttl_seconds: Seconds = 24 * 3600.0
    """How long an upload (`POST /uploads`) can be named by jobs, and at least `INFERQ_BLOB_GRACE_SECONDS`;
    then a worker removes it."""

    # the Python client and the command line

    url: str = "http://localhost:8000"
    """Where the proxy is, for the Python client and the command line."""
    api_key: Annotated[str, Field(repr=False)] = ""
    """The key that the Python client and the command line send; empty: none."""

    # requests

    max_body_bytes: Annotated[int, Field(gt=0)] = 16 * 1024 * 1024
    """Longest request body the proxy accepts, in bytes, also when it is decompressed."""
    max_inflight_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """Most bytes of long request bodies that a proxy process holds at the same time, and at least one body;
    beyond it the proxy answers 503."""
    request_timeout_seconds: Seconds = 30.0
    """Longest time that a client may take to send the head of a request, or pause while it sends the body."""
    max_rows: Annotated[int, Field(gt=0)] = 100_000
    """Most rows in one job."""
    max_image_pixels: Annotated[int, Field(gt=0)] = 50_000_000
    """Most pixels of a picture, before and after it is resized; checked before it is decoded."""
    max_result_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """Longest result of a job, in bytes, as JSON or raw tensors; beyond it the job fails as
    `result-too-large`. Redis itself takes at most `proto-max-bulk-len`, 512 MB."""
    max_wait_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Longest time that a request may ask to wait for a job's end."""

    # the queue

    max_queued: Annotated[int, Field(gt=0)] = 100_000
    """Most jobs waiting per model; beyond it the proxy answers 503."""
    max_queued_bytes: Annotated[int, Field(ge=0)] = 0
    """Most bytes of data of all jobs that have not ended; beyond it the proxy answers 503; 0: half of Redis's
    `maxmemory`, or of its machine's memory where that is not set."""
    lower_priority_share: Annotated[float, Field(ge=0, le=0.4)] = 0.1
    """Share of its claims in which a worker looks for `normal` jobs first though `high` ones wait, and again
    as much for `low`; 0: never, at most 0.4."""
    job_ttl_seconds: Seconds = 7 * 24 * 3600.0
    """How long a job may wait; then it fails as expired."""
    result_ttl_seconds: Seconds = 24 * 3600.0
    """How long an ended job can be read."""
    model_ttl_seconds: Seconds = 300.0
    """How long jobs of a model are accepted that no live worker serves, while workers of other models live;
    longer where the workers of a model are scaled to none."""
    idempotency_ttl_seconds: Seconds = 24 * 3600.0
    """How long an `Idempotency-Key` is remembered, at most as long as its job."""
    durability: Literal["server", "fsync"] = "server"
    """`fsync`: a job is accepted only once the append-only file holds it on disk; `server`: as the server's
    own appendfsync says."""

    # attempts and runs of a job

    lease_seconds: Annotated[float, Field(ge=0.1)] = 10.0
    """How long a worker may go without renewing before its jobs are given to others."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """How often a job is tried before it fails for good."""
    run_timeout_seconds: Seconds = 3600.0
    """Longest run of a job whose request and model say nothing else."""
    max_run_timeout_seconds: Seconds = 24 * 3600.0
    """Longest run that a request may ask for."""
    run_stop_grace_seconds: Annotated[float, Field(ge=0.1)] = 5.0
    """How long a run that is told to stop may take before its worker process replaces itself."""

    # the worker process

    heartbeat_seconds: Seconds = 2.0
    """How often a worker reports that it lives. It counts as gone after three times that."""
    shutdown_seconds: Annotated[float, Field(ge=0)] = 30.0
    """How long a worker that is told to stop may take to finish its job before it requeues it."""
    pod_name: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$")] = ""
    """Name of the Kubernetes pod that a worker is: it then marks the pod while it is in a long run, so that
    others go first when there are to be fewer; empty: it does not."""
    simulated_run_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Makes every job take so long, one after the other: the demonstration that nothing blocks."""
    batch_budget_seconds: Seconds = 0.05
    """How long a run may take for the sake of a larger batch. The number of jobs in it follows by itself."""
    model_threads: Annotated[int, Field(ge=0)] = 0
    """Threads that ONNX Runtime uses within one run; 0: one for each core, which `inferq up` shares out
    among its workers."""

    split_rows: Annotated[int, Field(ge=0)] = 10_000
    """Most rows of a job that is run at once: those of a larger one are divided into chunks, which idle
    workers share, where the model's rows do not depend on each other; 0: never."""

    worker_metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port at which a worker tells Prometheus the metrics of its own process; 0: none. Where it is taken, as
    by another worker of the same machine, the worker works without it."""
    worker_metrics_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address at which a worker does so; the worker's image has `0.0.0.0`."""

    # logs

    log_format: Literal["auto", "console", "json"] = "auto"
    """`console` for people, `json` for machines; `auto` is `console` on a terminal."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    access_log: Literal["off", "errors", "all"] = "off"
    """Which requests a proxy logs: `all`, or those answered with 400 and above (`errors`)."""
    job_log_level: Literal["debug", "info", "off"] = "info"
    """Level of the line for each job that completes; `off`: none. A failure has one in any case."""


def load_settings(**overrides: object) -> Settings:
    """Reads the settings from the environment.

    Args:
        **overrides: Values that take precedence over the environment, by field name.

    Returns:
        The settings.

    Raises:
        InvalidSettingError: One is not valid; the message names the environment variable.
    """
    settings, errors = load_valid_settings(**overrides)
    if errors:
        raise errors[0]
    return settings


def load_valid_settings(**overrides: object) -> tuple[Settings, list[InvalidSettingError]]:
    """Reads the settings from the environment, with the defaults of those that are not valid.

    Args:
        **overrides: Values that take precedence over the environment, by field name.

    Returns:
        The settings; and what is not valid, each error naming the environment variable.
    """
    try:
        return Settings(**overrides), []  # type: ignore[arg-type]
    except ValidationError as error:
        details = {str(one["loc"][0]).lower().removeprefix("inferq_"): one for one in error.errors()}
        defaults = {field: Settings.model_fields[field].default for field in details}
        errors = [_explain(field, one["msg"], one["input"]) for field, one in details.items()]
        return Settings(**overrides | defaults), errors  # type: ignore[arg-type]


def _explain(field: str, reason: str, value: object) -> InvalidSettingError:
    variables = name_variables(field)
    name = next((name for name in variables if os.environ.get(name)), variables[0])
    if field in _SECRETS:
        return InvalidSettingError(f"{name} is not valid: expected {_SECRETS[field]}.")
    return InvalidSettingError(f"{name} is not valid: {reason} (got {value!r}).")
