"""The shape of what was found of the candidates of a model, as OpenAPI shows it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from inferq.proxy.http.partial_answer import PartialAnswer
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID, ProvenanceView

_OTHER_JOB_ID = "b9d1f0c27a6e4d3c9a58e7f60b1c2d34"


class ShadowJobCounts(BaseModel):
    """What became of the jobs that were drawn."""

    compared: int = Field(description="Their results were compared: agreed and differed.")
    agreed: int
    differed: int
    failed: int = Field(description="The candidate failed, and the version that serves did not.")
    missed: int = Field(description="The result of the version that serves was gone before.")
    skipped: int = Field(
        description="They never ran on the candidate, as too many waited, their data was too long, or their "
        "results were written into a bucket."
    )
    waiting: int = Field(description="They are still to run on it, or do.")


class ShadowLatency(BaseModel):
    """How long the runs of the compared jobs took, to within a quarter of it; null where there were none."""

    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    mean_seconds: float | None
    mean_batch_jobs: float | None = Field(description="How many jobs shared a run: it was as long for each.")


class ShadowLatencies(BaseModel):
    """Both sides."""

    primary: ShadowLatency = Field(description="Of the version that serves.")
    candidate: ShadowLatency


class DifferingJobView(BaseModel):
    """A job on whose result both do not agree."""

    job_id: str
    href: str = Field(description="The job.")
    shadow_job_id: str
    shadow_href: str = Field(description="The same on the candidate: its result is the comparison.")
    at: datetime | None = Field(description="When that was found.")
    difference: float | None = Field(
        description="Largest difference of two numbers; null where the candidate has failed."
    )
    relative_difference: float | None = Field(description="The same, relative to the larger of them.")
    where: str | None = Field(description="Output and index of the value that differs most.")
    error: str | None = Field(description="How the candidate has failed; null where it has not.")


class CandidateView(BaseModel):
    """What was found of one version."""

    version: str
    share: float = Field(description="Share of the jobs that is drawn now.")
    since: datetime | None = Field(description="Since when jobs count; null before the first comparison.")
    tolerance: float | None = Field(description="How much numbers may differ, relative or below 1 absolute.")
    primary: ProvenanceView | None = Field(description="What it is compared with.")
    candidate: ProvenanceView | None
    agreement: float | None = Field(
        description="agreed / (compared + failed); null before the first of them."
    )
    jobs: ShadowJobCounts
    largest_difference: float = Field(description="Of two numbers.")
    largest_relative_difference: float
    latency: ShadowLatencies
    differing: list[DifferingJobView] = Field(
        description="The latest first: at most 100 that differ, and 100 on which the candidate failed. With "
        "API keys, the key's own."
    )


_LATENCY: JsonDict = {
    "p50_seconds": 0.0021,
    "p95_seconds": 0.0035,
    "p99_seconds": 0.0042,
    "mean_seconds": 0.0023,
    "mean_batch_jobs": 3.2,
}
_MAKER: JsonDict = {
    "version": "2",
    "digest": "9f2c51d07a34",
    "runtime": "onnxruntime-1.32.0",
    "provider": "CPUExecutionProvider",
}


class ShadowView(PartialAnswer):
    """What was found of each candidate of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "iris",
                    "candidates": [
                        {
                            "version": "3",
                            "share": 0.1,
                            "since": "2026-01-31T11:58:00.000Z",
                            "tolerance": 0.0001,
                            "primary": _MAKER,
                            "candidate": _MAKER | {"version": "3", "digest": "51d07a349f2c"},
                            "agreement": 0.998,
                            "jobs": {
                                "compared": 500,
                                "agreed": 499,
                                "differed": 1,
                                "failed": 0,
                                "missed": 0,
                                "skipped": 12,
                                "waiting": 3,
                            },
                            "largest_difference": 0.25,
                            "largest_relative_difference": 0.05,
                            "latency": {"primary": _LATENCY, "candidate": _LATENCY},
                            "differing": [
                                {
                                    "job_id": EXAMPLE_JOB_ID,
                                    "href": f"/job/{EXAMPLE_JOB_ID}",
                                    "shadow_job_id": _OTHER_JOB_ID,
                                    "shadow_href": f"/job/{_OTHER_JOB_ID}",
                                    "at": "2026-01-31T12:00:00.000Z",
                                    "difference": 0.25,
                                    "relative_difference": 0.05,
                                    "where": "probabilities[2]",
                                    "error": None,
                                }
                            ],
                        }
                    ],
                }
            ]
        }
    )

    model: str
    candidates: list[CandidateView] = Field(description="Each version that is tried, or was of late.")
