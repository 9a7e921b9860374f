"""The schemas of models, health, problems and the service itself, for OpenAPI."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_MODEL: dict[str, Any] = {
    "name": "iris",
    "version": "9f2c51d07a34",
    "versions": ["9f2c51d07a34"],
    "platform": "onnxruntime_onnx",
    "runtime": "onnxruntime-1.32.0",
    "providers": ["CPUExecutionProvider"],
    "description": "Which of three species an iris flower is, by its measurements in cm.",
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
    ],
    "class_names": ["setosa", "versicolor", "virginica"],
    "feature_names": ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"],
    "example": [[5.1, 3.5, 1.4, 0.2]],
}


class Components(BaseModel):
    """What the service consists of."""

    redis: str
    worker: str
    queue: str = Field(default_factory=str, description="What is wrong with it; absent if nothing is.")
    blobs: str = Field(default_factory=str, description="What is wrong with the blob store; likewise.")


class Health(BaseModel):
    """How the service is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": "healthy", "components": {"redis": "ok", "worker": "ok"}},
                {
                    "status": "degraded",
                    "components": {"redis": "ok", "worker": "no live worker since 2026-01-31T12:00:00.000Z"},
                },
                {
                    "status": "unhealthy",
                    "components": {
                        "redis": "Redis did not answer within 2 s.",
                        "worker": "unknown, since Redis is out of reach",
                    },
                },
            ]
        }
    )

    status: str = Field(description="healthy, degraded (jobs may wait) or unhealthy (none is accepted).")
    components: Components


class State(BaseModel):
    """One word."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}, {"status": "ready"}]})

    status: str


class ModelList(BaseModel):
    """The names of the announced models."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": ["iris"],
                    "versions": {"iris": ["1", "2"]},
                    "default": "iris",
                    "unavailable": {},
                },
                {
                    "models": ["iris"],
                    "versions": {"iris": ["9f2c51d07a34"]},
                    "default": "iris",
                    "unavailable": {"resnet": "resnet/model.onnx cannot be read: Permission denied."},
                },
            ]
        }
    )

    models: list[str]
    versions: dict[str, list[str]] = Field(
        description="The versions of each model: `iris@2` stands for one wherever a model may be named."
    )
    default: str = Field(description="The model of a request that names none.")
    unavailable: dict[str, str] = Field(
        description="Models that workers have left out and none serves: name to reason."
    )


class Information(BaseModel):
    """What this service is and where to go on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "inferq",
                    "version": "0.1.0",
                    "description": "ONNX models as an asynchronous inference service",
                    "default_model": "iris",
                    "links": {"predict": "/predict", "job": "/job/{job_id}", "documentation": "/docs"},
                }
            ]
        }
    )

    name: str
    version: str
    description: str
    default_model: str
    links: dict[str, str]


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:inferq:problem:invalid-input",
                    "title": "The input does not fit",
                    "status": 422,
                    "detail": "data[0] has 3 values, but model 'iris' expects 4.",
                    "instance": "/predict",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
