"""Why a model is not loaded: what is said of one that takes too long, or kills the process that loads it."""

import signal

FILES_CHANGED = (
    "Its files have changed or gone since it was unloaded (INFERQ_MAX_LOADED_MODELS). Put a version there "
    "that can be served, and submit the job again."
)


def explain_limit(seconds: float) -> str:
    """Returns what to do about a model that was not ready in time.

    Args:
        seconds: How long it was waited for.
    """
    return (
        f"It was not ready within {seconds:g} s (INFERQ_MODEL_LOAD_TIMEOUT_SECONDS). Give it an example "
        "in its model.toml that ends sooner, or raise the limit."
    )


def explain_death(number: int) -> str:
    """Returns what to do about a model that kills the process that loads it.

    Args:
        number: The signal's.
    """
    name = signal.Signals(number).name
    memory = ", as where memory runs out" if name == "SIGKILL" else ""
    return (
        f"The process that loads it dies ({name}{memory}). Export the model again; build libraries of custom "
        "operators for the ONNX Runtime that is installed."
    )
