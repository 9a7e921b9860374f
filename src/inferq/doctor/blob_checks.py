"""What is wrong with the blob store: whether it can be used, has room, and is that of the workers."""

from collections.abc import Iterator, Sequence

from inferq.blobs import BlobPart, BlobStore, make_key, open_store
from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.errors import (
    InferqError,
    InvalidSettingError,
    StoreDeniedError,
    StoreMissingError,
    StoreSlowError,
)
from inferq.jobs import WorkerInfo
from inferq.settings import Settings

_CHECK = "blobs"
_PROBE = bytes(range(256))
_PROBE_JOB = "inferq-doctor"
_NEARLY = 2.0
"""With less free space than so many times the reserve there is a warning."""
_MOST_NAMED = 5
_REMEDY = "Give all proxies and workers the same folder or bucket, and the right to write to it."
_REMEDIES: dict[type[InferqError], str] = {
    StoreDeniedError: "Set its credentials here, and let them list, read, write and delete there.",
    StoreMissingError: "Make the bucket, or correct INFERQ_BLOB_STORE or AWS_ENDPOINT_URL.",
    StoreSlowError: "See whether the store is overloaded, and the network between it and this machine.",
    InvalidSettingError: "Install inferq[blobs] where proxies and workers run.",
}


def check_blob_store(settings: Settings) -> tuple[str, list[Finding]]:
    """Uses the store as proxies and workers do, and leaves nothing behind.

    Args:
        settings: Which store there is.

    Returns:
        The id of the store, empty where there is none that can be used; and what was found.
    """
    try:
        store = open_store(settings.blob_store)
        if store is None:
            return "", []
        store_id = store.identify()
        _write_and_read(store)
        return store_id, [_judge_space(store, settings.blob_reserve_bytes)]
    except InferqError as error:
        return "", [fail(_CHECK, error.message, _REMEDIES.get(type(error), _REMEDY))]


def check_sharing(settings: Settings, store_id: str, workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    """Compares the store with those that live workers announce.

    Args:
        settings: Which store there is.
        store_id: The id of the store, as `check_blob_store` has found it.
        workers: The live workers.
    """
    if not settings.blob_store:
        if any(worker.blob_store for worker in workers):
            yield warn(
                _CHECK,
                "Workers have a blob store, and this environment names none: a proxy with it could not read "
                "what lies there.",
                "Set INFERQ_BLOB_STORE as the workers have it, if this is the environment of a proxy.",
            )
        return
    without = [worker.id for worker in workers if worker.blob_store != store_id]
    if without and store_id:
        names = ", ".join(without[:_MOST_NAMED])
        yield warn(
            _CHECK,
            f"{len(without)} of {len(workers)} workers have not this blob store ({names}): data for their "
            "models stays in Redis.",
            _REMEDY,
        )


def _write_and_read(store: BlobStore) -> None:
    key = make_key(_PROBE_JOB, BlobPart.DATA)
    store.write(key, _PROBE)
    try:
        store.read(key, len(_PROBE))
    finally:
        store.delete([key])


def _judge_space(store: BlobStore, reserve_bytes: int) -> Finding:
    free_bytes = store.measure_space()
    if free_bytes is None:
        return ok(_CHECK, f"The blob store {store.name} can be used.")
    message = f"The blob store {store.name} has {free_bytes / 1e9:.1f} GB free"
    remedy = "Make room on its disk, or lower INFERQ_BLOB_RESERVE_BYTES."
    if free_bytes < reserve_bytes:
        return fail(_CHECK, f"{message}, less than the reserve: jobs with long data are refused.", remedy)
    if free_bytes < _NEARLY * reserve_bytes:
        return warn(_CHECK, f"{message}, and {reserve_bytes / 1e9:.1f} GB stay free.", remedy)
    return ok(_CHECK, f"{message}.")
