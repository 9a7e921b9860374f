"""Opening a model on execution providers: the preferred one that works, else the CPU."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from inferq.models.providers.execution_providers import ExecutionConfig
from inferq.models.providers.execution_table import AUTO, CPU, PROVIDERS
from inferq.models.providers.installed_providers import choose_providers
from inferq.models.runtime_errors import RUNTIME_ERRORS, explain_runtime_error, shorten

# where the processor has it, OpenVINO would compute in bfloat16, with three digits
_PLUGIN_OPTIONS = {"openvino": {"load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}'}}
_RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


class OpenedSession(NamedTuple):
    """A session, and what runs it.

    Attributes:
        session: ONNX Runtime's session.
        providers: ONNX Runtime's names of those that have nodes of the graph, the preferred one first.
        problem: Why a provider that was wanted is not used, in sentences; empty if all are.
    """

    session: ort.InferenceSession
    providers: list[str]
    problem: str = ""


def open_on_providers(
    path: Path, config: ExecutionConfig, make_options: Callable[[], ort.SessionOptions]
) -> OpenedSession:
    """Opens a model on the providers that are wanted, without those that cannot be used.

    Args:
        path: The ONNX file.
        config: Which providers are wanted, and their options.
        make_options: Makes the session's options; called once for each try.

    Raises:
        Exception: One of `RUNTIME_ERRORS`, where not even the CPU loads the model.
    """
    names, reasons = choose_providers(config)
    while names:
        try:
            session = _open(path, config, make_options(), names)
        except RUNTIME_ERRORS as error:
            reasons[names.pop(0)] = f"It cannot load the model: {shorten(explain_runtime_error(error))}"
            continue
        used = _find_used(session)
        if PROVIDERS[names[0]] not in session.get_providers():
            reasons[names[0]] = "It could not be initialised; ONNX Runtime has written why to standard error."
        elif PROVIDERS[names[0]] not in used and AUTO not in config.providers:
            reasons[names[0]] = "It has none of the operators of the model."
        return OpenedSession(session, used, _explain(reasons))
    cpu = PROVIDERS[CPU]
    session = ort.InferenceSession(path, make_options(), providers=[cpu], enable_fallback=0)
    return OpenedSession(session, [cpu], _explain(reasons))


def _open(
    path: Path, config: ExecutionConfig, options: ort.SessionOptions, names: Sequence[str]
) -> ort.InferenceSession:
    options.add_session_config_entry(_RECORD_ASSIGNMENT, "1")
    devices = {name: _find_devices(name, config) for name in names}
    if all(devices.values()):
        # a library of its own is not found by the name of its provider: the session would be the CPU's
        for name, found in devices.items():
            own = _PLUGIN_OPTIONS.get(name, {}) | config.make_options(name)
            options.add_provider_for_devices(found, own)
        return ort.InferenceSession(path, options, enable_fallback=0)
    wanted = [(PROVIDERS[name], config.make_options(name)) for name in names]
    return ort.InferenceSession(path, options, providers=[*wanted, PROVIDERS[CPU]], enable_fallback=0)


def _find_devices(name: str, config: ExecutionConfig) -> list[Any]:
    """Returns the device that a provider of a library of its own is to use; none for one that is built in."""
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDERS[name]]
    own = config.options.get(name, {})
    if name == "openvino":
        kind = str(own.get("device_type", "CPU")).upper()
        chosen = [device for device in devices if device.device.type.name == kind]
    else:
        chosen = devices[int(own.get("device_id", 0)) :]
    if devices and not chosen:
        found = ", ".join(device.device.type.name for device in devices)
        raise ValueError(f"Its options name a device that is not there; it has {found}")
    return chosen[:1]


def _find_used(session: ort.InferenceSession) -> list[str]:
    """Returns the providers that have nodes of the graph."""
    registered: list[str] = session.get_providers()
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before ONNX Runtime 1.24
        return registered
    assigned = {part.ep_name for part in session.get_provider_graph_assignment_info()}
    return [name for name in registered if name in assigned] or [PROVIDERS[CPU]]


def _explain(reasons: dict[str, str]) -> str:
    return " ".join(f"The execution provider {name!r} is not used. {why}" for name, why in reasons.items())
