"""Each peer's environment: made by uv when it is first needed, and kept in a cache outside the project."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BenchmarkError
from benchmarks.rounds import tell

_LONGEST_INSTALLATION_SECONDS = 900
_COMPLETE = "complete"
"""An environment without this file was not made to its end."""
_COMMON = ("onnxruntime", "numpy")


@dataclass(frozen=True)
class PeerEnvironment:
    """What a peer needs.

    Attributes:
        name: Of the peer, in lower case.
        packages: Its packages, with their versions; ONNX Runtime and NumPy besides, as new as they can be.
        python: Version of Python; empty for that of inferq.
    """

    name: str
    packages: tuple[str, ...]
    python: str = ""


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        PeerEnvironment("mlserver", ("mlserver==1.7.1", "uvloop<0.22"), "3.11"),
        PeerEnvironment("bentoml", ("bentoml==1.4.40",)),
        PeerEnvironment("litserve", ("litserve==0.2.19",)),
        PeerEnvironment("ray", ("ray[serve]==2.60.0",)),
        PeerEnvironment("pytriton", ("nvidia-pytriton==0.7.0",), "3.11"),
    )
}
"""MLServer's processes die with uvloop from 0.22 on; it and pytriton have no release for Python 3.13."""


def prepare_python(name: str) -> str:
    """Makes a peer's environment, unless it is there.

    Args:
        name: A key of `ENVIRONMENTS`.

    Returns:
        Path of its Python.

    Raises:
        BenchmarkError: It cannot be made.
    """
    environment = ENVIRONMENTS[name]
    folder = _find_folder(environment)
    python, done = folder / "bin" / "python", folder / _COMPLETE
    if not done.exists():
        tell(f"the environment of {name} is made")
        shutil.rmtree(folder, ignore_errors=True)
        _run_uv("venv", "--quiet", "--python", _interpreter(environment.python), str(folder))
        _run_uv("pip", "install", "--quiet", "--python", str(python), *environment.packages, *_COMMON)
        done.touch()
    return str(python)


def read_versions() -> list[str]:
    """Name and version of each peer whose environment there is."""
    return [
        environment.packages[0].replace("==", " ")
        for environment in ENVIRONMENTS.values()
        if (_find_folder(environment) / _COMPLETE).exists()
    ]


def _find_folder(environment: PeerEnvironment) -> Path:
    return _cache() / f"{environment.name}-{_digest(environment)}"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inferq" / "benchmarks"


def _digest(environment: PeerEnvironment) -> str:
    """Tells environments apart that are not the same."""
    text = json.dumps([environment.packages, _COMMON, _interpreter(environment.python)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _interpreter(version: str) -> str:
    """This Python itself where no other is wanted: uv would look for a newer one of that version."""
    return version or str(
        Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    )


def _run_uv(*arguments: str) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise BenchmarkError("uv is not found, by which environments are made. Run this with `uv run`.")
    _cache().mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [uv, *arguments],
            cwd=_cache(),  # away from this project, whose versions are none of the peers' business
            capture_output=True,
            text=True,
            timeout=_LONGEST_INSTALLATION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"uv {arguments[0]} took longer than {error.timeout:g} s.") from error
    if done.returncode:
        raise BenchmarkError(f"uv {arguments[0]} failed: {done.stderr.strip()[:500]}")
