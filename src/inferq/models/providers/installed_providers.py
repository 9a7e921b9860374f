"""Which execution providers the installed ONNX Runtime has: built in, or by a package beside it."""

import ctypes
import sys
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import onnxruntime as ort

from inferq.models.providers.execution_providers import RUNTIME, ExecutionConfig
from inferq.models.providers.execution_table import AUTO, CPU, PROVIDERS, name_unknown
from inferq.models.runtime_errors import RUNTIME_ERRORS, explain_runtime_error

_PLUGINS = {"openvino": "onnxruntime_ep_openvino"}
"""Modules that bring a provider as a library of its own, by the provider's name."""
_REMEDIES = {
    "cuda": "Install inferq[gpu] instead of inferq[worker].",
    "tensorrt": "Install inferq[gpu] instead of inferq[worker], and TensorRT.",
    "openvino": "Install inferq[openvino] as well.",
    "coreml": "ONNX Runtime has it on macOS alone.",
}
_DEVICES = {"openvino": "It takes processors and GPUs of Intel alone."}
_CUDA_DRIVER = "libcuda.so.1"


def choose_providers(config: ExecutionConfig) -> tuple[list[str], dict[str, str]]:
    """Chooses the providers to try, the CPU not among them.

    Args:
        config: Which providers are wanted, and which have been given up.

    Returns:
        Their names, as settings have them, in order of preference; and the others that were wanted, each with
        the reason as a sentence.
    """
    reasons = name_unknown(config.providers) | dict(config.given_up)
    chosen: list[str] = []
    for name in config.providers:
        if name == CPU:
            break
        wanted = "cuda" if name == AUTO else name
        if wanted in reasons or wanted in chosen:
            continue
        hindrance = find_hindrance(wanted)
        if hindrance is None:
            chosen.append(wanted)
        elif name != AUTO:  # which misses nothing that is not there
            reasons[name] = hindrance
    return chosen, reasons


@cache
def find_hindrance(name: str) -> str | None:
    """Returns why a provider need not be tried here, as a sentence; None if it can be."""
    reason = f"{RUNTIME.replace('-', ' ')}, as it is installed here, has no {PROVIDERS[name]}."
    try:
        if PROVIDERS[name] not in ort.get_available_providers() and name in _PLUGINS:
            if not find_spec(_PLUGINS[name]):
                return f"{reason} {_REMEDIES[name]}"
            ort.register_execution_provider_library(name, import_module(_PLUGINS[name]).get_library_path())
            if PROVIDERS[name] not in ort.get_available_providers():
                return f"Its library is installed, and takes no device of this machine. {_DEVICES[name]}"
    except RUNTIME_ERRORS as error:
        return f"Its library cannot be loaded: {explain_runtime_error(error)}"
    if PROVIDERS[name] not in ort.get_available_providers():
        return f"{reason} {_REMEDIES[name]}"
    return _find_gpu_hindrance() if name in ("cuda", "tensorrt") else None


def _find_gpu_hindrance() -> str | None:
    if not count_cuda_devices():
        return (
            "NVIDIA's driver shows no GPU to this process. See whether nvidia-smi does; a container needs "
            "the NVIDIA Container Toolkit, and a device."
        )
    if find_spec("nvidia"):  # libraries in Python packages, which no search path of the system's names
        with redirect_stdout(sys.stderr):  # it prints what it misses
            ort.preload_dlls()
    return None


@cache
def count_cuda_devices() -> int:
    """Returns how many GPUs NVIDIA's driver shows to this process."""
    try:
        driver = ctypes.CDLL(_CUDA_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value
