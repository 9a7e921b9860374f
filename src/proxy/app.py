"""`uvicorn src.proxy.app:app` serves inferq's proxy."""

from inferq.proxy.app import app as app
