"""BentoML with raw bodies, in an application that it serves: its endpoints decode a body as text first."""

import bentoml
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.tensors.peers.sessions import PROCESSES, Session


async def run_trivial(request: Request) -> Response:
    """Runs the trivial model, in the event loop: that is quickest."""
    session: Session = bentoml.get_current_service().sessions["mean"]
    return Response(session.run_raw(await request.body()))


async def run_cnn(request: Request) -> Response:
    """Runs the CNN, in a thread: that is quickest."""
    session: Session = bentoml.get_current_service().sessions["cnn"]
    return Response(await run_in_threadpool(session.run_raw, await request.body()))


routes = [
    Route("/mean", run_trivial, methods=["POST"]),
    Route("/cnn", run_cnn, methods=["POST"]),
]


@bentoml.service(workers=PROCESSES, traffic={"timeout": 60})
@bentoml.asgi_app(Starlette(routes=routes), path="/")
class BentoModels:
    """Both models in each process."""

    def __init__(self) -> None:
        self.sessions = {name: Session(name) for name in ("mean", "cnn")}
