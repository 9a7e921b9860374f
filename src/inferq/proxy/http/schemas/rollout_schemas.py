"""The schemas of rollouts, of the versions of a model, and of reloads, for OpenAPI."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from inferq.rollout import Rollout, Shares, Version

_FOLLOWED: dict[str, Any] = {"generation": 1769860800123, "is_followed": True, "missing": []}
_WORKER = "host-1-4f2a"
_EXAMPLE = Rollout(serve="2", shares={"3": 0.05}, previous="1").model_dump()
_PROMOTED = Rollout(serve="3", previous="2").model_dump()


class RolloutRequest(BaseModel):
    """What is to be said of the versions of a model. What is left out is as where nothing is said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"serve": "2", "shares": {"3": 0.05}, "shadow": {"3": 0.2}}]},
    )

    serve: Version | None = Field(
        None, description="The version of jobs that name none; null: the newest that is there."
    )
    shares: Shares = Field(
        {}, description="Version to the share, 0 to 1, of these jobs that runs on it instead."
    )
    shadow: Shares = Field(
        {}, description="Version to the share of these jobs that runs on it too, later, to be compared."
    )
    tolerance: float = Field(
        1e-4,
        ge=0,
        allow_inf_nan=False,
        description="How much values of a shadow may differ and still agree: relative, below 1 absolute.",
    )


class PromoteRequest(BaseModel):
    """Which version is to serve."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": "3"}]})

    version: Version = Field(description="The version that is to run the jobs that name none.")


class RolloutView(BaseModel):
    """Which versions of a model take which jobs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "iris",
                    "serving": "2",
                    "versions": ["1", "2", "3"],
                    "rollout": _EXAMPLE,
                    "applied": _EXAMPLE,
                }
            ]
        }
    )

    model: str
    serving: str | None = Field(description="The version that serves now; null where none does.")
    versions: list[str] = Field(description="All that are served.")
    rollout: Rollout | None = Field(description="What was set by request; null where that is nothing.")
    applied: Rollout | None = Field(
        description="What workers follow: that, else the table [rollout] of model.toml; null without both."
    )


class Followed(BaseModel):
    """Which workers follow a change. A worker reads it with its next heartbeat, and loads what it needs."""

    generation: int = Field(description="The number that workers report once they follow.")
    is_followed: bool = Field(description="Whether all live workers do.")
    missing: list[str] = Field(description="Ids of live workers that did not in time, or never will.")


class RolloutChange(RolloutView, Followed):
    """A rollout that was changed, and which workers follow it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "iris",
                    "serving": "3",
                    "versions": ["1", "2", "3"],
                    "rollout": _PROMOTED,
                    "applied": _PROMOTED,
                    **_FOLLOWED,
                }
            ]
        }
    )


class ReloadResult(Followed):
    """The model repository was read again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"versions": {"iris": ["1", "2", "3"]}, "unavailable": {}, **_FOLLOWED},
                {
                    "versions": {"iris": ["1", "2"]},
                    "unavailable": {"iris@3": "iris/3/model.onnx is no ONNX model, or is damaged."},
                    "generation": 1769860800123,
                    "is_followed": False,
                    "missing": [_WORKER],
                },
            ]
        }
    )

    versions: dict[str, list[str]] = Field(description="The versions of each model that are served now.")
    unavailable: dict[str, str] = Field(
        description="Models and versions that workers have left out and none serves: name to reason."
    )


class VersionView(BaseModel):
    """One version of a model."""

    version: str
    digest: str | None = Field(description="SHA-256 over its ONNX file, external data and libraries.")
    is_serving: bool = Field(description="Whether it runs the jobs that name no version.")
    share: float = Field(description="The share of these jobs that it runs.")
    shadow: float = Field(description="The share of them that it runs too, to be compared.")
    workers: int = Field(description="Live workers that serve it.")
    reason: str | None = Field(description="Why it is not served; null where it is.")


class VersionList(BaseModel):
    """The versions of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "iris",
                    "serving": "2",
                    "versions": [
                        {
                            "version": "2",
                            "digest": "9f2c51d07a34" + 52 * "0",
                            "is_serving": True,
                            "share": 0.95,
                            "shadow": 0.0,
                            "workers": 2,
                            "reason": None,
                        },
                        {
                            "version": "3",
                            "digest": "1b7be0c2d5aa" + 52 * "0",
                            "is_serving": False,
                            "share": 0.05,
                            "shadow": 0.2,
                            "workers": 2,
                            "reason": None,
                        },
                    ],
                }
            ]
        }
    )

    model: str
    serving: str | None = Field(description="The version that serves now; null where none does.")
    versions: list[VersionView]
