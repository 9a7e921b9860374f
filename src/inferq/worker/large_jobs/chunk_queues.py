"""The queues in which chunks of large jobs wait: one of each version of a model that can have any.

Where a file of a version is replaced, its chunks wait in another one: a result is made by the same files.
"""

from collections.abc import Mapping
from dataclasses import replace

from inferq.model_names import QueueName
from inferq.worker.serving.served_models import ServedVersion


def add_chunk_queues(versions: Mapping[str, ServedVersion]) -> dict[str, ServedVersion]:
    """Adds to queues by their names those for chunks of their jobs."""
    chunks = {
        name_chunk_queue(served): replace(served, is_for_chunks=True)
        for served in versions.values()
        if served.model.split_rows and served.planner.shares_runs
    }
    return {**versions, **chunks}


def name_chunk_queue(served: ServedVersion) -> str:
    """Returns the name of the queue for chunks of a job that a version runs: only this version takes them."""
    name, version = served.document.name, served.document.version
    digest = served.document.provenance.digest
    return str(QueueName(name, version, "chunks", "" if digest == version else digest))
