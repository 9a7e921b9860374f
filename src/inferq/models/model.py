"""A loaded model, and the three steps from the data of a job to its result: decode, run, encode."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Self

import numpy as np
import structlog

from inferq.errors import InvalidInputError, InvalidModelError, ModelError
from inferq.media.geometry import Frame
from inferq.models import chunk_data
from inferq.models.arrays import Array, make_array, make_varied_rows, make_zeros, take_output
from inferq.models.decoded_job import DecodedJob, Inputs
from inferq.models.preprocessing.media_reader import MediaReader
from inferq.models.results.chunk_result import write_chunk_result
from inferq.models.results.classifier_encoder import ClassifierEncoder
from inferq.models.results.encoders import Outputs, ResultEncoder, split_outputs
from inferq.models.results.tensor_result import write_tensors
from inferq.models.runtime_errors import RUNTIME_ERRORS, explain_runtime_error
from inferq.models.sessions.device_session import DeviceSession
from inferq.models.sessions.run_handle import RunHandle
from inferq.models.sessions.session_choice import PlainSession
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import DataRequest, read_request, read_rows, resolve_request
from inferq.tensors.nested_arrays import quote
from inferq.tensors.signature import ModelDocument
from inferq.tensors.values import Buffer, MediaFile

_WARM_UP_ROWS = 8
_MOST_WARM_UP_BYTES = 32 * 1024 * 1024
"""Of inputs and outputs of several rows in a warm-up: ONNX Runtime keeps the memory of its largest run."""

log = structlog.get_logger(__name__)


class Model:
    """A model that is ready to run.

    All its methods are safe to call from several threads.

    Args:
        document: Its signature, and what else it announces.
        session: The session for its file.
        encoder: Turns its outputs into JSON.
        max_rows: Most rows in one job; None for no limit.
        max_image_pixels: Most pixels of a picture; None for no limit.
        dependence: Why jobs must not share a run, as a clause, if its graph says so and model.toml does not
            set `batch`.
        split_rows: Most rows of a job that is not divided into chunks; 0: none ever is.
    """

    def __init__(
        self,
        document: ModelDocument,
        session: PlainSession | DeviceSession,
        encoder: ResultEncoder,
        max_rows: int | None = None,
        dependence: str | None = None,
        max_image_pixels: int | None = None,
        split_rows: int = 0,
    ) -> None:
        self.document = document
        self.split_rows = split_rows
        self.dependence = dependence
        self._session: PlainSession | DeviceSession | None = session
        self._encoder = encoder
        self._validator = DataValidator(document, max_rows)
        self._media = MediaReader(document, max_image_pixels)
        self._outputs = {tensor.name: tensor for tensor in document.outputs}
        self._inputs = {tensor.name: tensor for tensor in (*document.inputs, *document.optional_inputs)}

    @property
    def name(self) -> str:
        """The model's name, that of its folder."""
        return self.document.name

    @property
    def is_loaded(self) -> bool:
        """Whether it can run."""
        return self._session is not None

    def unload(self) -> None:
        """Drops its session, which takes most of its memory; no run may be under way."""
        self._session = None

    def load_again(self, other: Self) -> None:
        """Takes the session of the same model that was loaded anew."""
        self._session = other._session

    def find_failure(self) -> str | None:
        """Returns why it fails on its sample, as a sentence; None if it does not, or refuses it."""
        try:
            self.run(self.make_sample().inputs)
        except ModelError as error:
            return error.message
        except InvalidInputError:  # of which `warm_up` tells
            return None
        return None

    def warm_up(self, handle: RunHandle | None = None) -> None:
        """Runs the model once, so that the first job does not wait for what ONNX Runtime does lazily.

        A model without an example is run on zeros. Not every model takes them (a convolution may need more
        than one pixel), so that a failure is only logged.

        Args:
            handle: Lets another thread stop the run.

        Raises:
            InvalidModelError: The model fails on its own example, or gives what its model.toml contradicts.
        """
        try:
            self._try_sample(handle)
        except InvalidInputError as error:
            raise InvalidModelError(
                f"The example of the model {self.name!r} is not taken: {error.message} Shorten it in its "
                "model.toml, or raise INFERQ_MAX_ROWS."
            ) from error
        except ModelError as error:
            if self.document.example is not None:
                raise InvalidModelError(
                    f"The model {self.name!r} fails on its own example: {error.message}"
                ) from error
            log.info(
                "model_not_warmed_up",
                model=self.name,
                reason=error.message,
                mend="give it an example in its model.toml",
            )

    def _try_sample(self, handle: RunHandle | None) -> None:
        sample = self.make_sample()
        outputs = self.run(sample.inputs, handle)
        self.encode(outputs, [sample])
        if self.document.example is not None:
            self._encoder.check_example(outputs)
        if self.document.batched and isinstance(self._encoder, ClassifierEncoder) and self._encoder.label:
            with suppress(ModelError):  # these values need not be any that the model takes
                # rows that differ give more of the labels
                size = sample.input_bytes + sum(array.nbytes for array in outputs.values())
                rows = max(1, min(_WARM_UP_ROWS, _MOST_WARM_UP_BYTES * max(sample.rows, 1) // max(size, 1)))
                varied = {name: make_varied_rows(array, rows) for name, array in sample.inputs.items()}
                self.predict_together([self._count_rows(varied)], handle)

    def make_sample(self) -> DecodedJob:
        """Returns a job to try the model with: its example; else zeros of its sample shape, and small files.

        Without a sample shape, each dynamic axis has length 1.
        """
        if self.document.example is not None:
            return self._make_job(self._validator.validate_inputs(self.document.example))
        shapes = self.document.sample_shape or {}
        zeros = {
            tensor.name: make_zeros(tensor, shapes.get(tensor.name))
            for tensor in self.document.inputs
            if not tensor.is_optional
        }
        return self._count_rows(zeros | self._media.make_samples())

    def predict_together(self, jobs: Sequence[DecodedJob], handle: RunHandle | None = None) -> list[bytes]:
        """Runs the model once for the rows of several jobs.

        Args:
            jobs: The jobs; several only where they have the same sharing key.
            handle: Lets another thread stop the run.

        Returns:
            The result of each, as `encode` writes it.

        Raises:
            ModelError: The model failed to run on them, or gave what its signature does not promise.
        """
        return self.encode(self.run(stack([job.inputs for job in jobs]), handle), jobs)

    def is_large(self, job: DecodedJob) -> bool:
        """Whether a job has more rows than are run at once, and parts of these are jobs as well."""
        has_plain_inputs = len(job.inputs) == len(self.document.inputs) and job.frame is None
        return 0 < self.split_rows < job.rows and has_plain_inputs

    def write_chunk(self, job: DecodedJob, first: int, last: int) -> bytes:
        """Writes the data of a chunk: rows of a large job, from the first to before the last."""
        return chunk_data.write_chunk(self.document, job, first, last)

    def decode_chunk(self, data: Buffer) -> DecodedJob:
        """Reads what `write_chunk` wrote; whether it `is_json` is told of the large job.

        Raises:
            InvalidInputError: It cannot be read, or does not fit the signature.
        """
        return self.decode(data)._replace(is_json=chunk_data.is_of_json(data))

    def predict_chunk(self, job: DecodedJob, handle: RunHandle | None = None) -> bytes:
        """Runs the model for a chunk.

        Args:
            job: The chunk, decoded.
            handle: Lets another thread stop the run.

        Returns:
            What `joined_result` puts together with the results of the job's other chunks.

        Raises:
            ModelError: The model failed to run on it, or gave what its signature does not promise.
        """
        outputs = self.run(job.inputs, handle)
        shown: bytes | None = None
        if job.is_json or not self._encoder.gives_outputs:
            [shown] = self._encoder.encode(outputs, [job.rows])
        tensors = [self._outputs[name] for name in job.outputs or self._outputs]
        return write_chunk_result(outputs, job.rows, tensors, shown, is_json=job.is_json)

    def decode(self, data: Buffer) -> DecodedJob:
        """Reads the data of a job that names no remote files; see `read` and `prepare`."""
        return self.prepare(self.read(data))

    def read(self, data: Buffer) -> DataRequest:
        """Reads the data of a job, and validates it fully.

        The proxy has validated what came through it, but any program that reaches Redis can push a job.

        Args:
            data: The data as stored, in any form that `tensors.forms` supports.

        Raises:
            InvalidInputError: It cannot be read, or does not fit the signature.
        """
        return read_request(data, self._validator)

    def resolve(self, request: DataRequest, files: Mapping[str, Buffer]) -> DecodedJob:
        """Makes the inputs of a request that names remote files.

        Args:
            request: What `read` has returned.
            files: Each of the files by its URL.

        Raises:
            InvalidInputError: A file cannot be read, or does not fit the signature.
        """
        return self.prepare(resolve_request(request, files, self._validator))

    def prepare(self, request: DataRequest) -> DecodedJob:
        """Makes the inputs of a request whose values are all there.

        Raises:
            InvalidInputError: A file cannot be read, or an output that is asked for does not exist.
        """
        job = self._make_job(request.inputs)
        if request.is_json:
            return job
        for name in request.outputs:
            if name not in self._outputs:
                raise InvalidInputError(
                    f"outputs names {quote(name)}, which is no output of model {self.name!r}. Expected "
                    f"{', '.join(map(repr, self._outputs))}."
                )
        return job._replace(is_json=False, outputs=request.outputs)

    def _make_job(self, values: Mapping[str, object]) -> DecodedJob:
        inputs: Inputs = {}
        frame: Frame | None = None
        for name, value in values.items():
            if isinstance(value, MediaFile):
                inputs[name], frame = self._media.read(value, self._inputs[name])
            else:
                inputs[name] = make_array(value, self._inputs[name])
        job = self._count_rows(inputs)
        return job if frame is None else job._replace(frame=frame)

    def _count_rows(self, inputs: Inputs) -> DecodedJob:
        rows = len(inputs[self.document.inputs[0].name]) if self.document.batched else 1
        return DecodedJob(inputs, rows)

    def decode_together(self, several: Sequence[Buffer]) -> list[DecodedJob] | None:
        """Reads the data of several jobs, as `decode` does, in less time.

        Args:
            several: The data of each job.

        Returns:
            The jobs, whose inputs are views of one array; None where that is not possible, or the data of one
            job does not fit: then `decode` each.
        """
        read = read_rows(several, self._validator)
        if read is None:
            return None
        rows, counts = read
        [tensor] = self.document.inputs
        array = make_array(rows, tensor)
        ends = accumulate(counts, initial=0)
        return [DecodedJob({tensor.name: array[start:end]}, end - start) for start, end in pairwise(ends)]

    def make_sharing_key(self, job: DecodedJob) -> object:
        """Returns a key that jobs must have in common to share a run: the shapes of a row of each input.

        A job without rows, or with optional inputs, runs alone: its key equals no other.
        """
        if len(job.inputs) > len(self.document.inputs) or not job.rows:
            return object()
        return tuple([array.shape[1:] for array in job.inputs.values()])

    def run(self, inputs: Inputs, handle: RunHandle | None = None) -> dict[str, Array]:
        """Runs the model. ONNX Runtime releases the GIL while it does.

        Args:
            inputs: An array for each input, as `decode` makes them.
            handle: Lets another thread stop the run.

        Returns:
            An array for each output; `arrays` says what stands for an output that is no tensor.

        Raises:
            ModelError: ONNX Runtime could not run the model on them.
        """
        if self._session is None:
            raise ModelError(f"The model {self.name!r} is not in memory.")
        try:
            values = self._session.run([*self._outputs], inputs, handle and handle.options)
        except RUNTIME_ERRORS as error:
            raise ModelError(f"The model {self.name!r} failed: {explain_runtime_error(error)}") from error
        outputs = zip(self._outputs.items(), values, strict=True)
        return {name: take_output(value, tensor) for (name, tensor), value in outputs}

    def encode(self, outputs: Outputs, jobs: Sequence[DecodedJob]) -> list[bytes]:
        """Writes each job's result: as JSON, or as an envelope of raw tensors where the data was not JSON.

        Args:
            outputs: What `run` returned.
            jobs: The jobs that shared the run, in order.

        Raises:
            ModelError: The outputs are not what the signature promises.
            InvalidModelError: They are not what model.toml says of them.
        """
        rows = [job.rows for job in jobs] if self.document.batched else None
        frames = [job.frame for job in jobs]
        if all(job.is_json for job in jobs):
            return self._encoder.encode(outputs, rows, frames)
        parts = split_outputs(outputs, rows)
        if self._encoder.gives_outputs:
            return [
                self._encoder.encode(part, None)[0] if job.is_json else self._write_tensors(job, part)
                for job, part in zip(jobs, parts, strict=True)
            ]
        return [
            text if job.is_json else self._write_tensors(job, part, text)
            for job, part, text in zip(jobs, parts, self._encoder.encode(outputs, rows, frames), strict=True)
        ]

    def _write_tensors(self, job: DecodedJob, outputs: Outputs, shown: bytes | None = None) -> bytes:
        return write_tensors(outputs, [self._outputs[name] for name in job.outputs or self._outputs], shown)


def stack(jobs: Sequence[Inputs]) -> Inputs:
    """Concatenates the inputs of several jobs along their first axes."""
    if len(jobs) == 1:
        return jobs[0]
    return {name: np.concatenate([job[name] for job in jobs]) for name in jobs[0]}
