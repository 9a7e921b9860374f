"""Which queues there are for chunks of large jobs."""

from types import SimpleNamespace

from inferq.provenance import Provenance
from inferq.worker.large_jobs.chunk_queues import add_chunk_queues, name_chunk_queue
from inferq.worker.serving.served_models import ServedVersion


def serve(version, *, name="iris", split_rows=10, shares_runs=True, digest=""):
    document = SimpleNamespace(name=name, version=version, provenance=Provenance(version, digest))
    model = SimpleNamespace(document=document, split_rows=split_rows)
    return ServedVersion(model, SimpleNamespace(shares_runs=shares_runs), None)


def test_each_version_has_one_and_so_has_a_model_without_versions():
    second, third = serve("2", digest="0f3c5a9e7b21"), serve("3")
    flat = serve("fb5a5a9e7b21", name="text", digest="fb5a5a9e7b21")
    queues = add_chunk_queues({"iris": third, "iris@2": second, "iris@3": third, "text": flat})

    assert [queue for queue, served in queues.items() if served.is_for_chunks] == [
        "iris@3~chunks", "iris@2~chunks-0f3c5a9e7b21", "text@fb5a5a9e7b21~chunks",
    ]  # fmt: skip
    assert queues["iris@2~chunks-0f3c5a9e7b21"].model is second.model
    assert name_chunk_queue(second) == "iris@2~chunks-0f3c5a9e7b21"


def test_models_that_run_jobs_as_a_whole_have_none():
    served = {"a": serve("1", split_rows=0), "b": serve("1", shares_runs=False)}

    assert add_chunk_queues(served) == served
