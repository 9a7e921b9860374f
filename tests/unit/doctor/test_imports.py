import subprocess
import sys


def test_doctor_needs_nothing_of_the_proxys_and_the_workers_own_libraries():
    absent = ("fastapi", "starlette", "uvicorn", "onnxruntime", "numpy", "orjson")
    code = (
        f"import sys; sys.modules |= dict.fromkeys({absent});"
        "from inferq.doctor.diagnosis import diagnose;"
        "print(*(one.check for one in diagnose(redis_url='redis://127.0.0.1:1')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"settings", "repository", "redis", "proxy"} <= set(done.stdout.split())
