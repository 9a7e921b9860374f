"""The schemas of the Open Inference Protocol, for OpenAPI, with what else Triton and KServe answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID
from inferq.proxy.http.schemas.service_schemas import EXAMPLE_MODEL, Problem

_NAME, _VERSION = EXAMPLE_MODEL["name"], EXAMPLE_MODEL["version"]
_DURATION: dict[str, Any] = {"count": 2, "ns": 1_500_000}
_NONE: dict[str, Any] = {"count": 0, "ns": 0}


class ProtocolProblem(Problem):
    """A problem, with the member by which clients of the protocol know an error."""

    error: str


class InferenceServer(BaseModel):
    """What the server is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "inferq", "version": "0.1.0", "extensions": ["binary_tensor_data"]}]
        }
    )

    name: str
    version: str
    extensions: list[str]


class InferenceLive(BaseModel):
    """Whether the process lives."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"live": True}]})

    live: bool


class InferenceReady(BaseModel):
    """Whether requests can be taken."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": True, "live": True}]})

    ready: bool
    live: bool


class InferenceModels(BaseModel):
    """The names of the models."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"models": [_NAME]}]})

    models: list[str]


class InferenceTensor(BaseModel):
    """An input or an output."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 for an axis of any length.")


class InferenceModel(BaseModel):
    """What a model takes and gives."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {name: EXAMPLE_MODEL[name] for name in ("name", "versions", "platform", "inputs", "outputs")}
            ]
        }
    )

    name: str
    versions: list[str]
    platform: str
    inputs: list[InferenceTensor]
    outputs: list[InferenceTensor]


class InferenceModelReady(BaseModel):
    """Whether a live worker serves the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": _NAME, "ready": True}]})

    name: str
    ready: bool


class InferenceModelConfig(BaseModel):
    """A model as Triton's `ModelConfig` describes one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": _NAME,
                    "platform": "onnxruntime_onnx",
                    "backend": "onnxruntime",
                    "version_policy": {"latest": {"num_versions": 1}},
                    "max_batch_size": 100_000,
                    "input": [{"name": "features", "data_type": "TYPE_FP32", "dims": [4], "optional": False}],
                    "output": [{"name": "probabilities", "data_type": "TYPE_FP32", "dims": [3]}],
                    "dynamic_batching": {},
                    "default_model_filename": "model.onnx",
                }
            ]
        }
    )

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="Most rows of a job; 0 for a model without a batch axis.")
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]


class InferenceStatistics(BaseModel):
    """What is counted of models, by all proxies and workers together, since the counts began."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_stats": [
                        {
                            "name": _NAME,
                            "version": "1",
                            "last_inference": 0,
                            "inference_count": 2,
                            "execution_count": 1,
                            "inference_stats": {
                                "success": _DURATION,
                                "fail": _NONE,
                                "queue": _DURATION,
                                "compute_input": {"count": 1, "ns": 0},
                                "compute_infer": {"count": 1, "ns": 200_000},
                                "compute_output": {"count": 1, "ns": 0},
                                "cache_hit": _NONE,
                                "cache_miss": _NONE,
                            },
                            "batch_stats": [],
                        }
                    ]
                }
            ]
        }
    )

    model_stats: list[dict[str, Any]]


class RepositoryEntry(BaseModel):
    """A model of the repositories of the workers."""

    name: str
    version: str = Field(description="Empty for a model that no worker serves.")
    state: str = Field(description="READY or UNAVAILABLE.")
    reason: str = Field(description="Why it is unavailable; empty if it is not.")


class RepositoryIndex(RootModel[list[RepositoryEntry]]):
    """The models of the repositories of the workers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [[{"name": _NAME, "version": _VERSION, "state": "READY", "reason": ""}]]
        }
    )


class RepositoryQuery(BaseModel):
    """Which models are listed."""

    ready: bool = Field(default=False, description="Only those that are ready.")


class RepositoryLoading(BaseModel):
    """A model was loaded, or unloaded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": _NAME, "load": True}]})

    name: str
    load: bool = Field(default=False, description="Present, and true, where it was loaded.")
    unload: bool = Field(default=False, description="Present, and true, where it was unloaded.")


class InferenceInput(InferenceTensor):
    """A tensor of a request: its values are in `data`, or behind the JSON."""

    data: list[Any] | None = Field(default=None, description="Nested, or all values in one list.")
    parameters: dict[str, Any] = Field(
        default={}, description="`binary_data_size`: how many bytes behind the JSON are its own."
    )


class InferenceWish(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = Field(
        default={},
        description="`binary_data`: whether it is answered as bytes; `classification`: how many classes "
        "are to be named.",
    )


class InferenceRequest(BaseModel):
    """Inputs of a model, and what is asked of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "1",
                    "inputs": [
                        {
                            "name": "features",
                            "datatype": "FP32",
                            "shape": [1, 4],
                            "data": [5.1, 3.5, 1.4, 0.2],
                        }
                    ],
                    "outputs": [{"name": "label"}],
                }
            ]
        }
    )

    id: str | None = None
    inputs: list[InferenceInput]
    outputs: list[InferenceWish] = []
    parameters: dict[str, Any] = Field(
        default={},
        description="`binary_data_output`: whether outputs are answered as bytes; `priority`: 1 is the "
        "highest; `timeout`: µs.",
    )


class InferenceResponse(BaseModel):
    """The outputs of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": _NAME,
                    "model_version": _VERSION,
                    "id": "1",
                    "parameters": {
                        "job_id": EXAMPLE_JOB_ID,
                        "digest": _VERSION,
                        "runtime": "onnxruntime-1.32.0",
                        "provider": "CPUExecutionProvider",
                    },
                    "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [0]}],
                }
            ]
        }
    )

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Any]
    outputs: list[dict[str, Any]]
