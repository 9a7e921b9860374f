"""A loaded model: ONNX Runtime's session, and the three steps from a job's data to its result."""

import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

# its published builds report to their maker unless told not to before they are imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
import orjson
import structlog
from pydantic_core import from_json

from inferq.errors import InvalidInputError, InvalidModelError, ModelError
from inferq.models.arrays import Array, find_datatype, make_array, make_zeros, take_output, vary
from inferq.models.encoders import ClassifierEncoder, Outputs, ResultEncoder
from inferq.models.graph import GraphSummary
from inferq.tensors.signature import ModelDocument, Tensor
from inferq.tensors.validation import DataValidator

Inputs = dict[str, Array]

log = structlog.get_logger(__name__)

# every error is raised too, and logged once, by who handles it
_LOG_FATAL_ONLY = 4

# ONNX Runtime's exceptions share no base class but Exception; the builtin ones come from its binding
_RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(
        error
        for error in vars(ort.capi.onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
    RuntimeError,
    ValueError,
    MemoryError,
)


class RunHandle:
    """Lets another thread stop a run."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Makes the run end with an error as soon as the present node of the graph is done."""
        self.options.terminate = True
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the run was told to stop."""
        return self._stopped.is_set()

    def rest(self, seconds: float) -> bool:
        """Waits, and returns whether the run was stopped meanwhile."""
        return self._stopped.wait(seconds)


class Model:
    """A model that is ready to run.

    All its methods are safe to call from several threads.

    Args:
        document: What the model takes and gives.
        session: ONNX Runtime's session for its file.
        encoder: How its outputs become JSON.
        max_rows: Most rows in one job; None for no limit.
        dependence: Why jobs must not share a run, as a clause, if its graph says so and model.toml does not
            say otherwise.
    """

    def __init__(
        self,
        document: ModelDocument,
        session: ort.InferenceSession,
        encoder: ResultEncoder,
        max_rows: int | None = None,
        dependence: str | None = None,
    ) -> None:
        self.document = document
        self.dependence = dependence
        self._session = session
        self._encoder = encoder
        self._validator = DataValidator(document, max_rows)
        self._output_names = [tensor.name for tensor in document.outputs]
        self._inputs = {tensor.name: tensor for tensor in (*document.inputs, *document.optional_inputs)}

    @property
    def name(self) -> str:
        """The model's name, that of its folder."""
        return self.document.name

    def warm_up(self, handle: RunHandle | None = None) -> None:
        """Runs the model once, so that the first job does not pay for what ONNX Runtime does lazily.

        That zeros fail says nothing (a convolution may need more than one pixel), so it is only logged.

        Args:
            handle: Lets another thread stop the run.

        Raises:
            InvalidModelError: The model fails on its own example, or gives what its card contradicts.
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
            log.info("model not warmed up: give it an example", model=self.name, error=error.message)

    def _try_sample(self, handle: RunHandle | None) -> None:
        sample = self.sample()
        outputs = self.run(sample, handle)
        self.encode(outputs, [self.count_rows(sample)])
        if self.document.example is not None:
            self._encoder.check_example(outputs)
        if self.document.batched and isinstance(self._encoder, ClassifierEncoder) and self._encoder.label:
            with suppress(ModelError):  # these values need not be any that the model takes
                varied = {name: vary(array) for name, array in sample.items()}
                self.predict_together([varied], handle)  # of rows that differ, more labels are seen

    def sample(self) -> Inputs:
        """Inputs to try the model with: its example; else zeros of its sample shape.

        Without that they have one entry along every dynamic axis.
        """
        if self.document.example is not None:
            return self._make_inputs(self.document.example)
        shapes = self.document.sample_shape or {}
        return {tensor.name: make_zeros(tensor, shapes.get(tensor.name)) for tensor in self.document.inputs}

    def predict(self, data: bytes, handle: RunHandle | None = None) -> bytes:
        """Returns the JSON of the result for the JSON of a job's `data`.

        Args:
            data: JSON of a job's `data`.
            handle: Lets another thread stop the run.

        Raises:
            InvalidInputError: The data does not fit the signature.
            ModelError: The model failed to run, or gave what its signature does not promise.
        """
        return self.predict_together([self.decode(data)], handle)[0]

    def predict_together(self, jobs: Sequence[Inputs], handle: RunHandle | None = None) -> list[bytes]:
        """Runs the model once for the rows of several jobs.

        Args:
            jobs: The decoded inputs of each job; several only where `batched` is true and they
                differ in nothing but their number of rows.
            handle: Lets another thread stop the run.

        Returns:
            The JSON of each job's result.

        Raises:
            ModelError: The model failed to run on them, or gave what its signature does not promise.
        """
        return self.encode(self.run(stack(jobs), handle), [self.count_rows(job) for job in jobs])

    def decode(self, data: bytes) -> Inputs:
        """Returns the model's inputs from the JSON of a job's `data`, fully validated.

        The proxy has validated what came through it, but any program that reaches Redis can push a job.

        Raises:
            InvalidInputError: It is not JSON, or does not fit the signature.
        """
        try:
            return self._make_inputs(_parse(data))
        except ValueError as error:
            raise InvalidInputError(
                f"The job's data is not JSON that can be read: {error}. Expected the JSON of an array, or of "
                "an object of named inputs."
            ) from error

    def _make_inputs(self, value: object) -> Inputs:
        named = self._validator.inputs_of(value)
        return {name: make_array(array, self._inputs[name]) for name, array in named.items()}

    def decode_together(self, several: Sequence[bytes]) -> list[Inputs] | None:
        """Returns the model's inputs for each of several jobs, as `decode` does, in less time.

        Returns:
            The inputs of each; None where that is not possible, or one does not fit: then `decode` each.
        """
        try:
            values = [orjson.loads(data) for data in several]
        except orjson.JSONDecodeError:
            return None
        rows = self._validator.rows_of_all(values)
        if rows is None:
            return None
        [tensor] = self.document.inputs
        array = make_array(rows, tensor)
        ends = list(accumulate(map(len, values)))
        return [{tensor.name: array[first:end]} for first, end in pairwise([0, *ends])]

    def count_rows(self, inputs: Inputs) -> int:
        """Returns the number of rows in decoded inputs; 1 for a model whose batch axis is fixed."""
        return len(inputs[self.document.inputs[0].name]) if self.document.batched else 1

    def sharing_key(self, inputs: Inputs) -> object:
        """Returns what jobs must have in common to share a run.

        A job without rows runs alone, as does one with inputs that others leave out: their key is their own.
        """
        if len(inputs) > len(self.document.inputs) or not self.count_rows(inputs):
            return object()
        return tuple([array.shape[1:] for array in inputs.values()])

    def run(self, inputs: Inputs, handle: RunHandle | None = None) -> dict[str, Array]:
        """Runs the model. ONNX Runtime releases the GIL while it does.

        Args:
            inputs: An array for each input, as `decode` makes them.
            handle: Lets another thread stop the run.

        Returns:
            An array for each output; see `tensors` for those that are no tensors.

        Raises:
            ModelError: ONNX Runtime could not run the model on them.
        """
        try:
            values = self._session.run(self._output_names, inputs, handle and handle.options)
        except _RUNTIME_ERRORS as error:
            raise ModelError(f"The model {self.name!r} failed: {explain_runtime_error(error)}") from error
        outputs = zip(self.document.outputs, values, strict=True)
        return {tensor.name: take_output(value, tensor) for tensor, value in outputs}

    def encode(self, outputs: Outputs, rows: Sequence[int]) -> list[bytes]:
        """Returns the JSON of each job's result.

        Args:
            outputs: What `run` returned.
            rows: Rows of each job, in order.

        Raises:
            ModelError: The outputs are not what the signature promises.
            InvalidModelError: They are not what the card says of them.
        """
        return self._encoder.encode(outputs, rows if self.document.batched else None)


def _parse(data: bytes) -> Any:  # noqa: ANN401 - whatever it holds
    """Parses JSON, also with the words for numbers that are not finite that Python's `json` writes."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if b"NaN" in data or b"Infinity" in data:
            return from_json(data, allow_inf_nan=True)
        raise


def stack(jobs: Sequence[Inputs]) -> Inputs:
    """Puts the inputs of several jobs together, row after row."""
    if len(jobs) == 1:
        return jobs[0]
    return {name: np.concatenate([job[name] for job in jobs]) for name in jobs[0]}


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Loads an ONNX file.

    Args:
        path: The file; weights in external files are found beside it.
        threads: Threads within one run; 0 for one per core.

    Raises:
        InvalidModelError: ONNX Runtime cannot load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL_ONLY
    # threads that spin while they wait would burn whole cores between jobs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _RUNTIME_ERRORS as error:
        explained = explain_runtime_error(error)
        remedy = "Export the model again, or copy the file whole."
        if "locale" in explained:
            remedy = (
                "Install the locale that it names where the worker runs (on Debian: package locales-all), or "
                "export the model without it."
            )
        raise InvalidModelError(f"{path} cannot be loaded: {explained} {remedy}") from error


def read_inputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns inputs of a session as tensors.

    Args:
        path: The file, for errors.
        nodes: The inputs as ONNX Runtime shows them.
        graph: What the file says besides.

    Raises:
        InvalidModelError: One is no tensor, or of a datatype that JSON cannot carry.
    """
    for node in nodes:
        if not node.type.startswith("tensor("):
            raise InvalidModelError(
                f"{path}: the input {node.name!r} is a {node.type}, expected a tensor. Make its parts inputs "
                "of their own, and put them together in the model."
            )
    return [_read_tensor(path, node, graph) for node in nodes]


def read_outputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns the outputs of a session, arguments and errors as for `read_inputs`.

    Sequences, maps and optional values have their values' datatype.
    """
    return [_read_tensor(path, node, graph) for node in nodes]


def explain_runtime_error(error: Exception) -> str:
    """Returns ONNX Runtime's message as a sentence, without its codes, source files and signatures."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error) or type(error).__name__)
    node = re.match(
        r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ", text
    )
    if node:
        name = f" {node[2]!r}" if node[2] else ""
        text = f"in {node[1]}{name}: {_drop_source(text[node.end() :])}"
    text = " ".join(_drop_source(text).split())
    return text if text.endswith(".") else f"{text}."


def _drop_source(text: str) -> str:
    """Removes a leading `/path/file.cc:123 function(arguments) `."""
    return re.sub(r"^\S+\.(?:cc|h|cpp):\d+ (?:.*?\)(?: const)? )?", "", text)


def _read_tensor(path: Path, node: ort.NodeArg, graph: GraphSummary) -> Tensor:
    datatype = find_datatype(node.type)
    if datatype is None:
        raise InvalidModelError(
            f"{path}: {node.name!r} is a {node.type}, which JSON cannot carry. Cast it to a boolean, "
            "integer, float16, float, double or string tensor in the model."
        )
    if not node.type.startswith("tensor("):
        shape = [-1] if node.type.startswith("seq(") else []
        return Tensor(name=node.name, datatype=datatype, shape=shape, onnx_type=node.type)
    return Tensor(
        name=node.name,
        datatype=datatype,
        shape=[size if isinstance(size, int) and size >= 0 else -1 for size in node.shape],
        is_unranked=node.name in graph.unranked,
    )
