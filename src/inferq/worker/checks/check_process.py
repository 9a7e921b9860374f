"""Checks models, each in a process of its own, without loading anything into this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from inferq.models.repository.repository_scan import ModelFolder, scan_repository
from inferq.processes import PARENT_VARIABLE
from inferq.settings import Settings
from inferq.worker.checks.check_report import CheckReport
from inferq.worker.loading.load_failures import explain_death, explain_limit

_PACKAGES = ("onnxruntime", "numpy", "orjson", "PIL")


def check_repository(path: Path, settings: Settings) -> Iterator[CheckReport]:
    """Does with each model of a repository what a worker would.

    Args:
        path: The repository's folder.
        settings: How long one may take.

    Raises:
        InvalidModelError: It is no folder, or cannot be read.
        ModuleNotFoundError: A package that workers need is not installed.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    scan = scan_repository(path)
    for name, reason in scan.skipped.items():
        yield CheckReport(name=name, problem=reason)
    for folder in scan.folders:
        yield _check_in_process(folder, settings)


def _check_in_process(folder: ModelFolder, settings: Settings) -> CheckReport:
    child = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", "inferq.worker.checks.model_check", folder.version, folder.path],
        env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    name = folder.name
    if child.returncode == -signal.SIGALRM:
        return CheckReport(name=name, problem=explain_limit(settings.model_load_timeout_seconds))
    if child.returncode < 0:
        return CheckReport(name=name, problem=explain_death(-child.returncode))
    try:
        return CheckReport.model_validate_json(child.stdout)
    except ValidationError:
        said = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return CheckReport(name=name, problem=f"The process that loads it fails: {said}")
