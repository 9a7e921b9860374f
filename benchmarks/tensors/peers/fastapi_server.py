"""The floor: FastAPI that runs the model within the request, and keeps nothing."""

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from benchmarks.tensors.peers.sessions import Session

app = FastAPI()
_trivial, _cnn = Session("mean"), Session("cnn")


@app.post("/mean")
async def mean(request: Request) -> Response:
    """Runs the trivial model, in the event loop: that is quickest."""
    return Response(_trivial.run_raw(await request.body()))


@app.post("/cnn")
async def cnn(request: Request) -> Response:
    """Runs the CNN, in a thread: that is quickest."""
    return Response(await run_in_threadpool(_cnn.run_raw, await request.body()))


@app.post("/mean/json")
async def mean_json(request: Request) -> Response:
    """Runs the trivial model on nested arrays."""
    images = np.asarray(orjson.loads(await request.body())["data"], np.float32)
    return Response(orjson.dumps(_trivial.run(images), option=orjson.OPT_SERIALIZE_NUMPY))
