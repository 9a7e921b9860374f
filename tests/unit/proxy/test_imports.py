import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("inferq.proxy.app", {"onnxruntime", "numpy"}),
        ("inferq.worker.main", {"fastapi", "starlette", "uvicorn"}),
    ],
)
def test_each_side_leaves_the_others_libraries_out(module, forbidden):
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert forbidden.isdisjoint(loaded.split())
