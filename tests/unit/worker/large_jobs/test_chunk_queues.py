"""Which queues there are for chunks of large jobs."""

from types import SimpleNamespace

from inferq.worker.large_jobs.chunk_queues import add_chunk_queues, name_chunk_queue
from inferq.worker.serving.served_models import ServedVersion


def serve(version, *, name="iris", split_rows=10, shares_runs=True):
    model = SimpleNamespace(document=SimpleNamespace(name=name, version=version), split_rows=split_rows)
    return ServedVersion(model, SimpleNamespace(shares_runs=shares_runs), None)


def test_each_version_has_one_and_so_has_a_model_without_versions():
    second, third, flat = serve("2"), serve("3"), serve("fb5a", name="text")
    queues = add_chunk_queues({"iris": third, "iris@2": second, "iris@3": third, "text": flat})

    assert [queue for queue, served in queues.items() if served.is_for_chunks] == [
        "iris@3~chunks", "iris@2~chunks", "text@fb5a~chunks",
    ]  # fmt: skip
    assert queues["iris@2~chunks"].model is second.model
    assert name_chunk_queue(second) == "iris@2~chunks"


def test_models_that_run_jobs_as_a_whole_have_none():
    served = {"a": serve("1", split_rows=0), "b": serve("1", shares_runs=False)}

    assert add_chunk_queues(served) == served
