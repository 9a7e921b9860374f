"""What exports of the models that come with inferq share: their command, and the folder that they write."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def read_paths(usage: str, defaults: Sequence[Path]) -> list[Path]:
    """Returns the paths on the command line, and the defaults of those that are left out.

    Exits where there are more, or an option.

    Args:
        usage: How the command is called.
        defaults: A default for each path that it takes.
    """
    arguments = sys.argv[1:]
    if len(arguments) > len(defaults) or any(argument.startswith("-") for argument in arguments):
        sys.exit(f"Usage: {usage}")
    return [*map(Path, arguments), *defaults[len(arguments) :]]


@contextmanager
def explain_missing_module(model: str) -> Iterator[None]:
    """Exits with what to do where a development dependency is missing.

    Args:
        model: Name of the model that is exported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(
            f"Exporting the {model} model needs {error.name}, a development dependency: run `uv sync` first."
        )


def write_model(folder: Path, model: bytes, config: str) -> Path:
    """Writes `model.onnx` and `model.toml`.

    Args:
        folder: Where to; created if need be.
        model: The ONNX file.
        config: The configuration.

    Returns:
        The path of the ONNX file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.onnx"
    file.write_bytes(model)
    (folder / "model.toml").write_text(config, encoding="utf-8")
    return file
