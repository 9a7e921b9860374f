"""What is counted of several shards, as one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from inferq.queue.inspection.metrics import ModelMetrics, QueueMetrics
from inferq.queue.inspection.stats import count_serving
from inferq.queue.schema.histograms import Histogram
from inferq.queue.shards.merged_numbers import add_by_priority, add_known, find_longest
from inferq.queue.shards.merged_registry import merge_workers


def merge_metrics(metrics: Sequence[QueueMetrics]) -> QueueMetrics:
    """Adds up what is counted, of all shards: a total that falls would be taken for a restart."""
    workers = merge_workers(one.workers for one in metrics)
    names = sorted({name for one in metrics for name in one.models})
    spaces = [one.blob_free_bytes for one in metrics if one.blob_free_bytes is not None]
    return QueueMetrics(
        models={
            name: _add_models(
                [one.models[name] for one in metrics if name in one.models], count_serving(name, workers)
            )
            for name in names
        },
        workers=workers,
        webhooks=add_counts(one.webhooks for one in metrics),
        open_circuits=sum(worker.open_circuits for worker in workers),
        held_bytes=sum(one.held_bytes for one in metrics),
        most_held_bytes=add_known([one.most_held_bytes for one in metrics]),
        blobs=add_known([one.blobs for one in metrics]),
        blob_bytes=add_known([one.blob_bytes for one in metrics]),
        blob_free_bytes=min(spaces, default=None),  # all parts of the store are on one disk
    )


def _add_models(models: Sequence[ModelMetrics], workers: int) -> ModelMetrics:
    return ModelMetrics(
        submitted=add_by_priority(one.submitted for one in models),
        user_retries=sum(one.user_retries for one in models),
        ended=add_counts(one.ended for one in models),
        open=sum(one.open for one in models),
        waiting=add_by_priority(one.waiting for one in models),
        running=sum(one.running for one in models),
        retrying=sum(one.retrying for one in models),
        dead_letters=sum(one.dead_letters for one in models),
        oldest_wait_seconds=find_longest(one.oldest_wait_seconds for one in models),
        workers=workers,
        wait=add_histograms(one.wait for one in models),
        run=add_histograms(one.run for one in models),
        total=add_histograms(one.total for one in models),
        batch=add_histograms(one.batch for one in models),
        leases_lapsed=sum(one.leases_lapsed for one in models),
        recovered=sum(one.recovered for one in models),
        retries=sum(one.retries for one in models),
        late=sum(one.late for one in models),
        stale=sum(one.stale for one in models),
        run_seconds=add_counts(one.run_seconds for one in models),
    )


def add_counts[Name, Number: (int, float)](counts: Iterable[Mapping[Name, Number]]) -> dict[Name, Number]:
    """Adds numbers up by name; those that are 0 stay."""
    added: Counter[Name] = Counter()
    for one in counts:
        added.update(one)
    return dict(added)


def add_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """Adds up histograms with the same bounds."""
    return reduce(_add_two, histograms)


def _add_two(one: Histogram, other: Histogram) -> Histogram:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Histogram(one.bounds, counts, one.total + other.total)
