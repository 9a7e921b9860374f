"""The models as the Open Inference Protocol describes them."""

from typing import Any

from fastapi import Request

from inferq.errors import NoWorkerError
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.inference.inference_checks import read_model_path
from inferq.proxy.services.models.known_models import AnnouncedModel, KnownModels
from inferq.tensors.signature import Datatype, ModelDocument, Tensor


async def find_inference_model(request: Request, path: str) -> tuple[str, AnnouncedModel]:
    """Finds the model, or the version of it, that a path names.

    Args:
        request: The request.
        path: The name, and perhaps `/versions/` and a version behind it.

    Returns:
        Name of the queue for its jobs; and the model.

    Raises:
        UnknownModelError: No worker has announced such a model, or this version of it.
        NoWorkerError: No worker has announced any model.
        ModelUnavailableError: The workers that should serve it cannot.
        RedisUnavailableError: Redis does not answer in time.
    """
    return await get_services(request).catalog.locate(read_model_path(path))


def check_served(models: KnownModels, name: str) -> None:
    """Refuses a model that no live worker serves: to wait for it would be in vain.

    Raises:
        NoWorkerError: None does.
    """
    if models.served is not None and name not in models.served:
        raise NoWorkerError(
            f"No live worker serves the model {name!r} now. Start one, or try again; with Prefer: "
            "respond-async the job is stored until one comes."
        )


def describe_model(document: ModelDocument) -> dict[str, Any]:
    """Returns the metadata of a model, as the protocol has it."""
    return {
        "name": document.name,
        "versions": document.versions,
        "platform": document.platform,
        "inputs": [_describe_tensor(one) for one in (*document.inputs, *document.optional_inputs)],
        "outputs": [_describe_tensor(one) for one in document.outputs],
    }


def describe_config(document: ModelDocument, max_rows: int) -> dict[str, Any]:
    """Returns the same as a `ModelConfig` of Triton, as far as it applies.

    Args:
        document: The model's document.
        max_rows: Most rows in one job.
    """
    has_rows = _has_rows(document)
    required = {tensor.name for tensor in document.inputs if not tensor.is_optional}
    return {
        "name": document.name,
        "platform": document.platform,
        "backend": "onnxruntime",
        "version_policy": {"all": {}} if len(document.versions) > 1 else {"latest": {"num_versions": 1}},
        "max_batch_size": max_rows if has_rows else 0,
        "input": [
            {
                **_describe_field(one, has_rows=has_rows),
                "optional": one.name not in required,
            }
            for one in (*document.inputs, *document.optional_inputs)
        ],
        "output": [_describe_field(one, has_rows=has_rows) for one in document.outputs],
        **({"dynamic_batching": {}} if has_rows else {}),
        "default_model_filename": "model.onnx",
    }


def _has_rows(document: ModelDocument) -> bool:
    """Whether the first axis can be left out of all shapes; clients know no input that has no other."""
    return (
        document.batched
        and all(len(tensor.shape) > 1 for tensor in document.inputs)
        and all(tensor.shape[:1] == [-1] for tensor in document.outputs)
    )


def _describe_tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": _describe_shape(tensor)}


def _describe_field(tensor: Tensor, *, has_rows: bool) -> dict[str, Any]:
    """An input or an output in a configuration, whose shape leaves the batch axis out where there is one."""
    datatype = "STRING" if tensor.datatype is Datatype.BYTES else tensor.datatype
    shape = _describe_shape(tensor)
    return {
        "name": tensor.name,
        "data_type": f"TYPE_{datatype}",
        "dims": shape[1:] if has_rows and shape[:1] == [-1] else shape,
    }


def _describe_shape(tensor: Tensor) -> list[int]:
    if (tensor.onnx_type or "").startswith("seq(map("):  # answered as a table
        return [-1, -1]
    return [-1] if tensor.is_unranked else tensor.shape
