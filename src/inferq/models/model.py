"""A loaded model, and the three steps from the data of a job to its result: decode, run, encode."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise

import numpy as np
import onnxruntime as ort
import structlog

from inferq.errors import InvalidInputError, InvalidModelError, ModelError
from inferq.media.geometry import Frame
from inferq.models.arrays import Array, make_array, make_varied_rows, make_zeros, take_output
from inferq.models.classifier_encoder import ClassifierEncoder
from inferq.models.decoded_job import DecodedJob, Inputs
from inferq.models.encoders import Outputs, ResultEncoder, split_outputs
from inferq.models.media_reader import MediaReader
from inferq.models.onnx_runtime import RUNTIME_ERRORS, explain_runtime_error
from inferq.models.run_handle import RunHandle
from inferq.models.tensor_result import write_tensors
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import read_request, read_rows
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
        session: ONNX Runtime's session for its file.
        encoder: Turns its outputs into JSON.
        max_rows: Most rows in one job; None for no limit.
        max_image_pixels: Most pixels of a picture; None for no limit.
        dependence: Why jobs must not share a run, as a clause, if its graph says so and model.toml does not
            set `batch`.
    """

    def __init__(
        self,
        document: ModelDocument,
        session: ort.InferenceSession,
        encoder: ResultEncoder,
        max_rows: int | None = None,
        dependence: str | None = None,
        max_image_pixels: int | None = None,
    ) -> None:
        self.document = document
        self.dependence = dependence
        self._session = session
        self._encoder = encoder
        self._validator = DataValidator(document, max_rows)
        self._media = MediaReader(document, max_image_pixels)
        self._outputs = {tensor.name: tensor for tensor in document.outputs}
        self._inputs = {tensor.name: tensor for tensor in (*document.inputs, *document.optional_inputs)}

    @property
    def name(self) -> str:
        """The model's name, that of its folder."""
        return self.document.name

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
        zeros = {tensor.name: make_zeros(tensor, shapes.get(tensor.name)) for tensor in self.document.inputs}
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

    def decode(self, data: Buffer) -> DecodedJob:
        """Reads the data of a job, and validates it fully.

        The proxy has validated what came through it, but any program that reaches Redis can push a job.

        Args:
            data: The data as stored, in any form that `tensors.forms` supports.

        Raises:
            InvalidInputError: It cannot be read, or does not fit the signature.
        """
        request = read_request(data, self._validator)
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
