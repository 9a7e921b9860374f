"""A result that is tensors, in each of its forms: JSON, `.npy`, `.npz`, and the protocol's binary one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pydantic_core import to_json

from inferq.errors import InvalidInputError, NotAcceptableError, OverloadedError
from inferq.job_json import describe_origin
from inferq.jobs import Job
from inferq.proxy.http.inference_protocol import BINARY, HEAD_LENGTH
from inferq.proxy.http.responses import JSON
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.results.result_conversion import (
    check_text,
    write_numbers_json,
    write_text_json,
    write_text_npy,
)
from inferq.proxy.services.results.result_rendition import (
    Rendition,
    Segments,
    StoredSlice,
    render_archive,
    render_segments,
)
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.tensors.file_types import NPY, NPZ
from inferq.tensors.listed_outputs import make_listed_tensors
from inferq.tensors.nested_arrays import nest
from inferq.tensors.npy_codec import write_header
from inferq.tensors.result_tensors import OutputEntry, ResultHead, describe_output
from inferq.tensors.signature import Datatype
from inferq.tensors.values import ITEM_BYTES, PACKED, RawTensor

FORMS = (JSON, NPY.media_type, NPZ.media_type, BINARY)
"""Media types in which a result of tensors can be read."""
_LONGEST_ON_LOOP_BYTES = 8192
"""Of a longer result each part is converted in another process: 10 ms for 32 KiB."""
MOST_TEXT_BYTES = 8 * 1024 * 1024
"""Strings of more are only sent as they are stored: to be written otherwise they have to be held at once."""


class TensorRenditions:
    """Renders a result of tensors.

    Args:
        stored: The result.
        head: What its head says.
        job: Its job.
        pool: Processes for conversions.
        names: Outputs that are asked for; none for all.

    Raises:
        InvalidInputError: One of them is none.
    """

    def __init__(
        self, stored: StoredResult, head: ResultHead, job: Job, pool: ProcessPool, names: Sequence[str]
    ) -> None:
        self._stored, self._job, self._pool = stored, job, pool
        self._shown = b"" if names else head.shown
        outputs: dict[str, list[OutputEntry]] = {}
        for output in head.outputs:
            outputs.setdefault(output.output, []).append(output)
        named = outputs | {output.name: [output] for output in head.outputs if output.sequence}
        for name in names:
            if name not in named:
                raise InvalidInputError(
                    f"output={name[:200]} is no output of the result, which has {_list_names(head.outputs)}."
                )
        self._outputs = [output for name in names or outputs for output in named[name]]

    async def render(self, media_type: str) -> Rendition:
        """Renders it in one of `FORMS`.

        Raises:
            NotAcceptableError: It cannot be had in this form; the message says in which it can.
            JobNotFoundError: It has gone since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        if media_type == NPY.media_type:
            return await self._render_npy()
        if media_type == NPZ.media_type:
            return await self._render_npz()
        return self._render_protocol() if media_type == BINARY else await self._render_json()

    async def _render_npy(self) -> Rendition:
        if len(self._outputs) != 1:
            first = f"?output={self._outputs[0].name}" if self._outputs else "another form"
            raise NotAcceptableError(
                f"The result has {_list_names(self._outputs)}, and {NPY.media_type} has one array. Choose it "
                f"with {first}, or ask for {NPZ.media_type}."
            )
        members = await self._write_npy(self._outputs[0])
        if len(members) != 1:
            raise NotAcceptableError(
                f"The output {self._outputs[0].name!r} is {'several arrays' if members else 'absent'}, and "
                f"{NPY.media_type} has one array. Ask for {NPZ.media_type}."
            )
        [segments] = members.values()
        return render_segments(self._stored, segments, NPY.media_type, NPY.suffix)

    async def _render_npz(self) -> Rendition:
        members = [
            (name + NPY.suffix, segments)
            for output in self._outputs
            for name, segments in (await self._write_npy(output)).items()
        ]
        try:
            return render_archive(self._stored, members, NPZ.media_type, NPZ.suffix)
        except ValueError as error:
            raise NotAcceptableError(f"{error} Choose outputs with ?output=.") from error

    def _render_protocol(self) -> Rendition:
        entries = [
            describe_output(output)
            if output.size is not None
            else {
                "name": output.name,
                "datatype": output.datatype,
                "shape": output.shape,
                "data": output.values,
            }
            for output in self._outputs
        ]
        head = to_json(describe_origin(self._job) | {"outputs": entries}, inf_nan_mode="null")
        slices = [_slice(output) for output in self._outputs if output.size is not None]
        length = (HEAD_LENGTH, b"%d" % len(head))
        return render_segments(self._stored, [head, *slices], BINARY, ".bin", (length,))

    async def _render_json(self) -> Rendition:
        if self._shown:
            return render_segments(self._stored, [self._shown], JSON, ".json")
        for output in self._outputs:
            self._check_text(output)
        for output in self._outputs:  # else strings could turn out to be no text when half of it is sent
            if output.size is not None and output.datatype is Datatype.BYTES:
                await self._convert(check_text, await self._read_texts(output))
        return Rendition(JSON, ".json", None, lambda _start, _end: self._write_json())

    async def _write_npy(self, output: OutputEntry) -> dict[str, Segments]:
        """Writes an output as arrays, each by its name."""
        if output.size is None:
            listed = make_listed_tensors(output)
            if listed is None:
                raise NotAcceptableError(
                    f"The output {output.name!r} is no tensor: {JSON} and {BINARY} have it, and those of the "
                    "others that are chosen with ?output= can be had as arrays."
                )
            return {name: [self._write_listed(tensor)] for name, tensor in listed.items()}
        if not output.datatype.is_in_numpy:
            raise NotAcceptableError(
                f"The output {output.name!r} is {output.datatype}, which NumPy lacks: {JSON} and {BINARY} "
                "have it, and those of the others that are chosen with ?output= can be had as arrays."
            )
        if output.datatype is not Datatype.BYTES:
            return {output.name: [write_header(output.datatype, output.shape), _slice(output)]}
        return {output.name: [await self._convert(write_text_npy, await self._read_texts(output))]}

    def _write_listed(self, tensor: RawTensor) -> bytes:
        if tensor.datatype is Datatype.BYTES:
            return write_text_npy(tensor)
        return write_header(tensor.datatype, tensor.shape) + bytes(tensor.data)

    async def _write_json(self) -> AsyncIterator[bytes]:
        yield b'{"outputs":{'
        before = ""
        for number, output in enumerate(self._outputs):
            is_next = bool(output.sequence) and output.sequence == before
            yield b"]" * (bool(before) and not is_next) + b"," * bool(number)
            if not is_next:
                yield to_json(output.output) + b":" + b"[" * bool(output.sequence)
            before = output.sequence
            if output.size is None:
                yield to_json(output.values, inf_nan_mode="null")
            elif output.datatype is Datatype.BYTES:
                yield await self._convert(write_text_json, await self._read_texts(output))
            elif not output.size:
                yield to_json(nest([], output.shape))
            else:
                async for part in self._write_numbers(output):
                    yield part
        yield b"]" * bool(before) + b"}}"

    async def _write_numbers(self, output: OutputEntry) -> AsyncIterator[bytes]:
        item, each = ITEM_BYTES.get(output.datatype, 1), PACKED.get(output.datatype, 1)
        position, rest = 0, b""
        async for part in self._stored.read_parts(*_slice(output)):
            data = rest + part
            count = len(data) // item
            data, rest = data[: count * item], data[count * item :]
            yield await self._convert(write_numbers_json, output.datatype, output.shape, position, data)
            position += count * each

    async def _read_texts(self, output: OutputEntry) -> RawTensor:
        self._check_text(output)
        return RawTensor(output.datatype, output.shape, await self._stored.read(*_slice(output)))

    async def _convert[*Ts](self, convert: Callable[[*Ts], bytes], *arguments: *Ts) -> bytes:
        """Calls a conversion, in another process unless there is little to convert."""
        if self._stored.length <= _LONGEST_ON_LOOP_BYTES:
            return convert(*arguments)
        try:
            return await self._pool.call(convert, *arguments)
        except OverloadedError:  # what has begun to be sent goes on, though it takes more of this process
            return await asyncio.to_thread(convert, *arguments)

    def _check_text(self, output: OutputEntry) -> None:
        if output.datatype is Datatype.BYTES and (output.size or 0) > MOST_TEXT_BYTES:
            raise NotAcceptableError(
                f"The output {output.name!r} has {output.size:,} bytes of strings; more than "
                f"{MOST_TEXT_BYTES:,} can be had as {BINARY} alone."
            )


def _slice(output: OutputEntry) -> StoredSlice:
    return StoredSlice(output.start, output.start + (output.size or 0))


def _list_names(outputs: Sequence[OutputEntry]) -> str:
    names = ", ".join(repr(output.name) for output in outputs)
    return f"the outputs {names}" if len(outputs) > 1 else f"the output {names}" if outputs else "no outputs"
