"""MLServer, whose HTTP takes only JSON."""

import asyncio
import os
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.tensors.peers.sessions import MODELS_VARIABLE, Session, get_port


class OnnxModel(MLModel):
    """One model by ONNX Runtime."""

    async def load(self) -> bool:
        """Loads it."""
        self.session = Session(self.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Runs it."""
        image = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("output", self.session.run(image))
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main(processes: int) -> None:
    """Serves both models.

    Args:
        processes: Those that run models; 0: the server itself does.
    """
    settings = Settings(
        host="127.0.0.1",
        http_port=get_port(),
        grpc_port=get_port() + 1,
        metrics_endpoint=None,
        parallel_workers=processes,
        debug=False,
        load_models_at_startup=False,
        environments_dir=os.environ[MODELS_VARIABLE] + "/.environments",
    )
    server = MLServer(settings)
    models = [ModelSettings(name=name, implementation=OnnxModel) for name in ("mean", "cnn")]
    await server.start(models)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
