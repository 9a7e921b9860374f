"""What Redis counts of a model, as Triton's statistics extension tells it."""

from typing import Any

from inferq.queue import ModelMetrics

_NS = 1_000_000_000


def describe_statistics(name: str, counted: ModelMetrics) -> dict[str, Any]:
    """Returns the statistics of a model.

    They are those of all jobs that named the model so, whichever versions ran them: `version` names none of
    these, but is a number, since Triton's perf_analyzer takes nothing else there. A job counts as one
    inference, whatever its rows; the time of `success` is that of failed jobs too. What is not known is 0:
    when the last inference was, and how long decoding and encoding take.

    Args:
        name: Name of the model, or of a version of it.
        counted: What Redis counts of it.
    """
    runs = sum(counted.run.counts)
    completed = sum(count for (outcome, _), count in counted.ended.items() if outcome == "completed")
    return {
        "name": name,
        "version": "1",
        "last_inference": 0,
        "inference_count": completed,
        "execution_count": runs,
        "inference_stats": {
            "success": _describe_duration(completed, counted.total.total),
            "fail": _describe_duration(sum(counted.ended.values()) - completed),
            "queue": _describe_duration(sum(counted.wait.counts), counted.wait.total),
            "compute_input": _describe_duration(runs),
            "compute_infer": _describe_duration(runs, counted.run.total),
            "compute_output": _describe_duration(runs),
            "cache_hit": _describe_duration(),
            "cache_miss": _describe_duration(),
        },
        "batch_stats": [],
        "memory_usage": [],
        "response_stats": {},
    }


def _describe_duration(count: int = 0, seconds: float = 0.0) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * _NS)}
