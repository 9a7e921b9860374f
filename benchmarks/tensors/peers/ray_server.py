"""Ray Serve with raw bodies."""

import threading

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.tensors.peers.sessions import PROCESSES, Session, get_port


class RayModels:
    """Both models in each replica."""

    def __init__(self) -> None:
        self.sessions = {name: Session(name) for name in ("mean", "cnn")}

    async def __call__(self, request: Request) -> Response:
        """Runs the model that the path names."""
        return Response(self.sessions[request.url.path.strip("/")].run_raw(await request.body()))


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(http_options={"host": "127.0.0.1", "port": get_port()})
    deployment = serve.deployment(num_replicas=PROCESSES, ray_actor_options={"num_cpus": 0})
    serve.run(deployment(RayModels).bind(), route_prefix="/")
    threading.Event().wait()
