import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        (
            "inferq.proxy.app",
            {"onnxruntime", "numpy", "PIL", "httpcore", "standardwebhooks", "prometheus_client"},
        ),
        (
            "inferq.worker.main",
            {
                *("fastapi", "starlette", "uvicorn", "httpcore", "standardwebhooks", "certifi"),
                "prometheus_client",
            },
        ),
    ],
)
def test_each_side_leaves_the_others_libraries_out(module, forbidden):
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert forbidden.isdisjoint(loaded.split())


def test_proxy_needs_nothing_of_the_workers_libraries():
    # FastAPI takes orjson up where it is installed, so only its absence can show that we do without
    code = (
        "import sys; sys.modules |= dict.fromkeys(('onnxruntime', 'numpy', 'orjson', 'PIL'));"
        "import inferq.proxy.app, inferq.proxy.server; inferq.proxy.app.app.openapi()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
