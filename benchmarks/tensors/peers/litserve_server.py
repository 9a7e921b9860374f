"""LitServe with raw bodies, which it takes as FastAPI does: by the annotation of `decode_request`."""

from typing import Annotated, Any

import litserve as ls
from fastapi import Body, Response

from benchmarks.tensors.peers.sessions import PROCESSES, Session, get_port

RawBody = Annotated[bytes, Body(media_type="application/octet-stream")]


class ModelApi(ls.LitAPI):
    """One model, in processes of its own, to which bodies travel through a queue."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's interface
        """Is called in each process."""
        self.session = Session(self.api_path.strip("/"))

    def decode_request(self, request: RawBody) -> bytes:
        """Passes the body on."""
        return request

    def predict(self, body: bytes) -> bytes:
        """Runs the model."""
        return self.session.run_raw(body)

    def encode_response(self, output: bytes) -> Response:
        """Answers with bytes."""
        return Response(output)


if __name__ == "__main__":
    apis: list[Any] = [ModelApi(api_path="/mean"), ModelApi(api_path="/cnn")]
    server = ls.LitServer(apis, accelerator="cpu", workers_per_device=PROCESSES, fast_queue=True)
    server.run(host="127.0.0.1", port=get_port(), generate_client_file=False, log_level="warning")
