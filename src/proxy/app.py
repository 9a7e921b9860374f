"""`uvicorn src.proxy.app:app` serves inferq's proxy."""

import sys

try:
    from inferq.proxy.app import app as app
except ModuleNotFoundError as error:
    sys.exit(f"{error}. This environment lacks it: run `uv sync` in inferq's folder, and this again.")
