"""Where and how ONNX Runtime runs models: its execution providers and session options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import onnxruntime as ort

from inferq.models.providers.execution_table import CPU, ExecutionTable, GraphOptimization, split_names
from inferq.settings import Settings

RUNTIME = f"onnxruntime-{ort.__version__}"
"""What runs models here, with its version."""

# every error is raised too, and logged once, by its handler
_LOG_FATAL_ONLY = 4
_LEVELS: dict[GraphOptimization, ort.GraphOptimizationLevel] = {
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


@dataclass(frozen=True, slots=True)
class ExecutionConfig:
    """What a worker tells ONNX Runtime about the execution of a model.

    Attributes:
        threads: Threads within one run; 0 for one per core.
        providers: Names of execution providers as settings have them, the preferred one first. The CPU comes
            after all of them.
        is_strict: Whether a model is refused where one of them is not used.
        arena: Whether ONNX Runtime keeps the memory of past runs on the CPU.
        graph_optimization: How far graphs are optimized.
        gpu_mem_limit_bytes: Most memory of a GPU that a session may take; 0 for no limit.
        options: Options of single providers, by its name and their own.
        given_up: Providers that are not tried any more, each with the reason as a clause.
    """

    threads: int = 0
    providers: Sequence[str] = (CPU,)
    is_strict: bool = False
    arena: bool = True
    graph_optimization: GraphOptimization = "all"
    gpu_mem_limit_bytes: int = 0
    options: Mapping[str, Mapping[str, str | int | float]] = field(default_factory=dict)
    given_up: Mapping[str, str] = field(default_factory=dict)

    def override(self, table: ExecutionTable | None) -> Self:
        """Returns what holds for a model with this table `[execution]` in its model.toml."""
        if table is None:
            return self
        given = table.model_dump(exclude_none=True)
        if table.providers is not None:
            names = [table.providers] if isinstance(table.providers, str) else table.providers
            given["providers"] = split_names(",".join(names))
        if "strict" in given:
            given["is_strict"] = given.pop("strict")
        return replace(self, **given)

    def give_up(self, provider: str, reason: str) -> Self:
        """Returns the same without a provider, for a reason that is a clause."""
        return replace(self, given_up={**self.given_up, provider: reason})

    def make_options(self, provider: str) -> dict[str, str]:
        """Returns the options of a provider, as ONNX Runtime takes them."""
        own: dict[str, str | int | float] = {}
        if provider == "cuda" and self.gpu_mem_limit_bytes:
            own["gpu_mem_limit"] = self.gpu_mem_limit_bytes
        if provider == "openvino" and self.threads:
            own["num_of_threads"] = self.threads
        return {name: _write(value) for name, value in {**own, **self.options.get(provider, {})}.items()}


DEFAULT_EXECUTION = ExecutionConfig()


def read_execution_config(settings: Settings) -> ExecutionConfig:
    """Returns what the settings say about execution."""
    return ExecutionConfig(
        threads=settings.model_threads,
        providers=split_names(settings.providers),
        is_strict=settings.strict_providers,
        arena=settings.memory_arena,
        graph_optimization=settings.graph_optimization,
        gpu_mem_limit_bytes=settings.gpu_mem_limit_bytes,
    )


def make_session_options(config: ExecutionConfig) -> ort.SessionOptions:
    """Returns ONNX Runtime's options for a session."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = config.arena
    options.graph_optimization_level = _LEVELS[config.graph_optimization]
    options.log_severity_level = _LOG_FATAL_ONLY
    # threads that spin while they wait would burn whole cores between jobs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _write(value: str | int | float) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
