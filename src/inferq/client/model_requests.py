"""The requests that change which versions of a model run, each as steps."""

from collections.abc import Mapping
from typing import Any

import httpx
from pydantic_core import to_json

from inferq.client.paths import make_model_path
from inferq.client.steps import Call, Steps, ask

_LONGEST_WAIT_SECONDS = 300.0
"""How long a service may wait for its workers that is not told for how long."""


def replace_rollout(name: str, members: Mapping[str, Any], wait: float | None, retries: int) -> Steps[Any]:
    """Replaces the rollout of a model; members that are None are left out."""
    body = {member: value for member, value in members.items() if value is not None}
    return (yield from ask(_make_call("PUT", make_model_path(name, "/rollout"), wait, body), retries))


def delete_rollout(name: str, wait: float | None, retries: int) -> Steps[Any]:
    """Removes the rollout of a model."""
    return (yield from ask(_make_call("DELETE", make_model_path(name, "/rollout"), wait), retries))


def promote(name: str, version: str, wait: float | None, retries: int) -> Steps[Any]:
    """Lets a version serve."""
    call = _make_call("POST", make_model_path(name, "/promote"), wait, {"version": version})
    return (yield from ask(call, retries))


def roll_back(name: str, wait: float | None) -> Steps[Any]:
    """Lets the version serve that did before. It is not repeated: the repetition would be refused."""
    call = _make_call("POST", make_model_path(name, "/rollback"), wait, is_safe=False)
    return (yield from ask(call, 0))


def reload_models(name: str | None, wait: float | None, retries: int) -> Steps[Any]:
    """Lets workers read the model repository again."""
    path = "/models/reload" if name is None else make_model_path(name, "/reload")
    return (yield from ask(_make_call("POST", path, wait), retries))


def load_model(name: str, order: str, wait: float | None, retries: int) -> Steps[None]:
    """Lets workers load a model, or unload it, as `order` says."""
    path = f"/v2/repository{make_model_path(name, f'/{order}')}"
    yield from ask(_make_call("POST", path, wait), retries)


def _make_call(
    method: str, path: str, wait: float | None, body: object = None, *, is_safe: bool = True
) -> Call:
    query = "" if wait is None else f"?{httpx.QueryParams({'wait': wait})}"
    return Call(
        method,
        path + query,
        None if body is None else to_json(body),
        is_safe=is_safe,
        waits_seconds=_LONGEST_WAIT_SECONDS if wait is None else wait,
    )
