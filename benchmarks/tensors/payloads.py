"""Requests as bytes, made once, in the dialects of the servers; and what their answers hold."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from benchmarks.tensors.tensor_models import TRIVIAL

type Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

_HEAD_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Dialect:
    """How a server is asked.

    Attributes:
        name: As the tables call it.
        write: Makes a whole request of a model's name and a picture.
        read: The first three numbers of an answer's body.
    """

    name: str
    write: Callable[[str, Array], bytes]
    read: Callable[[bytes], Sequence[float]]


def write_request(path: str, parts: Sequence[bytes], headers: dict[str, str]) -> bytes:
    """Makes a POST request of the parts of its body."""
    length = sum(len(part) for part in parts)
    lines = {"Host": "localhost", "Content-Length": str(length), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"".join([f"POST {path} HTTP/1.1\r\n{head}\r\n".encode(), *parts])


def make_pictures(*shape: int) -> Array:
    """Numbers as a picture has them after preprocessing, the same in each run."""
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def is_right(model: str, picture: Array, numbers: Sequence[float]) -> bool:
    """Whether an answer of the trivial model is right; those of others are not looked at."""
    return model != TRIVIAL or bool(np.allclose(picture[0].mean((1, 2)), numbers, atol=1e-4))


def write_binary(model: str, picture: Array, preference: str | None = None) -> bytes:
    """The Open Inference Protocol with its binary tensor data extension, in and out."""
    tensor = {"name": "image", "datatype": "FP32", "shape": picture.shape}
    asked = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": picture.nbytes}}],
        "outputs": [{"name": "output", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(asked).encode()
    headers = {_HEAD_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    if preference is not None:
        headers["Prefer"] = preference
    return write_request(f"/v2/models/{model}/infer", [head, picture.tobytes()], headers)


def _read_binary(body: bytes) -> Sequence[float]:
    _, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    return _read_raw(body[end:])


def _write_v2_json(model: str, picture: Array) -> bytes:
    tensor = {"name": "image", "datatype": "FP32", "shape": picture.shape, "data": picture.reshape(-1)}
    body = orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return write_request(f"/v2/models/{model}/infer", [body], {"Content-Type": "application/json"})


def _read_v2_json(body: bytes) -> Sequence[float]:
    return _flatten(json.loads(body)["outputs"][0]["data"])


def write_json(model: str, picture: Array, path: str = "/predict") -> bytes:
    """Nested arrays, as `POST /predict` has them."""
    body = orjson.dumps({"model": model, "data": picture}, option=orjson.OPT_SERIALIZE_NUMPY)
    return write_request(path, [body], {"Content-Type": "application/json", "Prefer": "wait=60"})


def _read_job(body: bytes) -> Sequence[float]:
    job = json.loads(body)
    return _flatten(job["result"]["outputs"]["output"])


def _write_plain_json(model: str, picture: Array) -> bytes:
    return write_json(model, picture, f"/{model}/json")


def _read_plain_json(body: bytes) -> Sequence[float]:
    return _flatten(json.loads(body))


def _write_raw(model: str, picture: Array) -> bytes:
    headers = {"Content-Type": "application/octet-stream"}
    return write_request(f"/{model}", [picture.tobytes()], headers)


def _read_raw(body: bytes) -> Sequence[float]:
    return np.frombuffer(body[:12], np.float32).tolist()


def _flatten(values: Any) -> Sequence[float]:  # noqa: ANN401 - one list, or nested ones
    return cast("Sequence[float]", np.asarray(values, np.float32).reshape(-1)[:3].tolist())


V2_BINARY = Dialect("v2 binary", write_binary, _read_binary)
V2_JSON = Dialect("v2 JSON", _write_v2_json, _read_v2_json)
JOB_JSON = Dialect("JSON", write_json, _read_job)
PLAIN_JSON = Dialect("JSON", _write_plain_json, _read_plain_json)
RAW = Dialect("raw body", _write_raw, _read_raw)
