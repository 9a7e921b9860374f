"""A range of a large job's rows as the data of a job of its own: a chunk."""

from typing import Any

from inferq.models.decoded_job import DecodedJob
from inferq.models.raw_arrays import view_bytes
from inferq.tensors.envelope import read_envelope, write_envelope
from inferq.tensors.envelope_codec import describe_tensor
from inferq.tensors.signature import ModelDocument
from inferq.tensors.values import Buffer


def write_chunk(document: ModelDocument, job: DecodedJob, first: int, last: int) -> bytes:
    """Writes the data of a chunk: an envelope of raw tensors, which also says what its result is to be.

    Args:
        document: The model's document.
        job: The large job.
        first: Its first row in the chunk.
        last: The row behind the last one.
    """
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for tensor in document.inputs:
        array = job.inputs[tensor.name][first:last]
        raw = view_bytes(array, tensor.datatype)
        entries.append(describe_tensor(tensor.name, tensor.datatype, array.shape, memoryview(raw).nbytes))
        data.append(raw)
    head = {"inputs": entries, "outputs": [{"name": name} for name in job.outputs], "is_json": job.is_json}
    return write_envelope(head, data)


def is_of_json(data: Buffer) -> bool:
    """Whether a chunk is one of a job whose data was JSON, so that its result is to become JSON.

    Raises:
        InvalidInputError: It is no chunk.
    """
    return read_envelope(data).head.get("is_json") is True
