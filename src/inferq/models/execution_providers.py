"""Where and how ONNX Runtime runs models: its execution providers and session options."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnxruntime as ort

from inferq.settings import Settings

# every error is raised too, and logged once, by its handler
_LOG_FATAL_ONLY = 4


@dataclass(frozen=True, slots=True)
class ExecutionConfig:
    """What a worker tells ONNX Runtime about the execution of each model.

    Attributes:
        threads: Threads within one run; 0 for one per core.
        providers: Names of execution providers, the preferred one first.
    """

    threads: int = 0
    providers: Sequence[str] = ("CPUExecutionProvider",)


DEFAULT_EXECUTION = ExecutionConfig()


def read_execution_config(settings: Settings) -> ExecutionConfig:
    """Returns what the settings say about execution."""
    return ExecutionConfig(threads=settings.model_threads)


def make_session_options(config: ExecutionConfig) -> ort.SessionOptions:
    """Returns ONNX Runtime's options for a session."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL_ONLY
    # threads that spin while they wait would burn whole cores between jobs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
