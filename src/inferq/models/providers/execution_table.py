"""The table `[execution]` of a model.toml: on which execution providers a model runs, and how."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator
from pydantic_core import PydanticCustomError

AUTO = "auto"
CPU = "cpu"
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    CPU: "CPUExecutionProvider",
}
"""What an execution provider is called in settings, and what ONNX Runtime calls it."""

type GraphOptimization = Literal["off", "basic", "extended", "all"]
type _Option = str | int | float

# none names a library to load or an address in memory; no CUDA graphs, for which shapes must not change
_OPTIONS = {
    "cuda": (
        "device_id arena_extend_strategy cudnn_conv_algo_search cudnn_conv_use_max_workspace "
        "cudnn_conv1d_pad_to_nc1d use_tf32 prefer_nhwc fuse_conv_bias sdpa_kernel tunable_op_enable "
        "tunable_op_tuning_enable tunable_op_max_tuning_duration_ms enable_skip_layer_norm_strict_mode"
    ),
    "tensorrt": (
        "device_id trt_max_workspace_size trt_max_partition_iterations trt_min_subgraph_size "
        "trt_fp16_enable trt_bf16_enable trt_int8_enable trt_int8_calibration_table_name "
        "trt_engine_cache_enable trt_engine_cache_path trt_engine_cache_prefix trt_timing_cache_enable "
        "trt_timing_cache_path trt_force_timing_cache trt_builder_optimization_level trt_auxiliary_streams "
        "trt_profile_min_shapes trt_profile_max_shapes trt_profile_opt_shapes trt_op_types_to_exclude "
        "trt_layer_norm_fp32_fallback trt_build_heuristics_enable trt_sparsity_enable "
        "trt_context_memory_sharing_enable trt_force_sequential_engine_build"
    ),
    "openvino": (
        "device_type precision num_of_threads num_streams cache_dir load_config model_priority "
        "reshape_input disable_dynamic_shapes enable_qdq_optimizer"
    ),
    "coreml": (
        "ModelFormat MLComputeUnits RequireStaticInputShapes EnableOnSubgraphs SpecializationStrategy "
        "AllowLowPrecisionAccumulationOnGPU ModelCacheDirectory"
    ),
}


class ExecutionTable(BaseModel):
    """The keys of `[execution]`, all optional: where one is missing, the worker's setting counts.

    Attributes:
        providers: Names of execution providers, the preferred one first.
        strict: Whether the model is refused where one of them is not used.
        threads: Threads within one run; 0 for one for each core.
        arena: Whether ONNX Runtime keeps the memory of past runs on the CPU.
        graph_optimization: How far the graph is optimized.
        gpu_mem_limit_bytes: Most memory of the GPU that the model's session may take; 0 for no limit.
        options: Options of single providers, by its name and their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    providers: str | list[str] | None = None
    strict: bool | None = None
    threads: Annotated[int, Field(ge=0, le=1024)] | None = None
    arena: bool | None = None
    graph_optimization: GraphOptimization | None = None
    gpu_mem_limit_bytes: NonNegativeInt | None = None
    options: dict[str, dict[str, _Option]] = {}

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, dict[str, _Option]]) -> dict[str, dict[str, _Option]]:
        for provider, values in options.items():
            if provider not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise PydanticCustomError(
                    "provider", f"{provider!r} is no provider with options, expected one of {known}"
                )
            expected = _OPTIONS[provider].split()
            for name in values:
                if name not in expected:
                    raise PydanticCustomError(
                        "option",
                        f"{name!r} is no option of {provider}, expected one of {', '.join(expected)}",
                    )
        return options


def split_names(text: str) -> tuple[str, ...]:
    """Returns the names in a list with commas between, in small letters."""
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def name_unknown(names: Iterable[str]) -> dict[str, str]:
    """Returns the names that are none of an execution provider, each with a sentence that says so."""
    expected = ", ".join([AUTO, *PROVIDERS])
    return {
        name: f"inferq knows no such provider; expected {expected}."
        for name in names
        if name not in PROVIDERS and name != AUTO
    }
