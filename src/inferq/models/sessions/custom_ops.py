"""The table `[custom_ops]` of a model.toml: libraries with operators that ONNX Runtime itself does not have.

A library is native code: it runs with all rights of the worker. An operator trusts the folder of a model as a
Python package, so what model.toml names there is loaded; it can name nothing outside.
"""

import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from inferq.errors import InvalidModelError

_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""Names of processors by their numbers in ELF files, as `platform.machine` has them."""
_OTHER_SYSTEMS = {b"MZ": "Windows", b"\xcf\xfa\xed\xfe": "macOS", b"\xca\xfe\xba\xbe": "macOS"}
_UNKNOWN = re.compile(r"Fatal error: (?P<domain>[^\s:]*):(?P<operator>\w+)\(-?\d+\) is not a registered")

_loaded: dict[Path, list[tuple[int, ...]]] = {}
"""What has been loaded from a path, in this order: which files of that name."""


class CustomOpsTable(BaseModel):
    """The keys of `[custom_ops]`.

    Attributes:
        libraries: Shared libraries, by their paths within the model's folder, in the order in which they are
            registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    libraries: list[str] = Field(min_length=1)


def find_libraries(folder: Path, version: str, table: CustomOpsTable | None) -> dict[str, Path]:
    """Returns the libraries that a model needs, by the names that its model.toml gives them.

    Args:
        folder: The model's folder, or that of a version of it.
        version: Name of that version, which may share libraries of the model's folder; empty: it has none.
        table: What model.toml says of them; None for nothing.

    Raises:
        InvalidModelError: One does not exist, or is outside the folder.
    """
    folders = [folder, folder.parent] if version else [folder]
    found: dict[str, Path] = {}
    for name in table.libraries if table else ():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InvalidModelError(
                f"{folder / 'model.toml'}: [custom_ops] names the library {name!r}, outside the model's "
                "folder. Copy it there, and name it by its path within the folder."
            )
        path = next((one / name for one in folders if (one / name).is_file()), None)
        if path is None:
            raise InvalidModelError(
                f"{folder / 'model.toml'}: [custom_ops] names the library {name!r}, but "
                f"{' and '.join(str(one / name) for one in folders)} does not exist. Copy it there, under "
                "that name."
            )
        found[name] = path
    return found


def name_for_loading(library: Path) -> str:
    """Returns a path of a library by which no other file has been loaded.

    The system's loader does not open what it has loaded from a path already, even if another file is there.
    """
    path = library.resolve()
    state = path.stat()
    file, known = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size), _loaded.setdefault(path, [])
    if file not in known:
        known.append(file)
    return f"{path.parent}/{'./' * known.index(file)}{path.name}"


def explain_library_error(path: Path, reason: str) -> str:
    """Returns why ONNX Runtime does not take a library, and what to do.

    Args:
        path: The library.
        reason: What ONNX Runtime says.
    """
    if "symbol RegisterCustomOps" in reason:
        return (
            f"{path} has no function RegisterCustomOps, so it is no library of custom operators. Name "
            "one that was built against ONNX Runtime's C API."
        )
    made_for = _find_system(path)
    own = platform.machine() if sys.platform == "linux" else made_for
    if made_for is None:
        return f"{path} is no shared library, or is damaged. Build it again, or copy it whole."
    if made_for != own:
        return f"{path} is for {made_for}, but the worker runs on {own}. Build it for that."
    return (
        f"{path} cannot be loaded: {reason} Install what it needs where the worker runs, or build it again."
    )


def explain_unknown_operator(reason: str, libraries: Sequence[Path]) -> str | None:
    """Returns what to do about an operator that is not known; None where that is not what is wrong.

    Args:
        reason: What ONNX Runtime says.
        libraries: The libraries that were registered.
    """
    found = _UNKNOWN.search(reason)
    if found is None:
        return None
    operator = f"the operator {found['operator']!r} of the domain {found['domain']!r}"
    if libraries:
        names = ", ".join(path.name for path in libraries)
        return (
            f"It needs {operator}, which {names} does not have. Add the library that has it to [custom_ops]."
        )
    return (
        f"It needs {operator}, which ONNX Runtime does not have. Put the library that has it into the "
        'model\'s folder, and name it in model.toml: under [custom_ops], libraries = ["NAME.so"].'
    )


def _find_system(path: Path) -> str | None:
    """Returns for what a library was built: a processor, on Linux, or another system; None if it is none."""
    with path.open("rb") as file:
        head = file.read(20)
    if head.startswith(b"\x7fELF") and len(head) == 20:
        number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        return _MACHINES.get(number, f"another processor ({number})")
    return next((system for magic, system in _OTHER_SYSTEMS.items() if head.startswith(magic)), None)
