"""A whole service for the tests of `/v2`: the application behind a socket, a worker, and several models."""

from contextlib import contextmanager
from functools import partial

import httpx

from inferq.settings import Settings
from tests import onnx_models
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import WorkerProcess
from tests.servers import wait_until

MODELS = {
    "types": onnx_models.write_every_type,
    "two": onnx_models.write_two_by_two,
    "copy": onnx_models.write_large_copy,
    "text": onnx_models.write_text,
    "failing": onnx_models.write_failing_model,
    "slow": onnx_models.write_slow_echo,
    "imputer": onnx_models.write_imputer,
    "pets": onnx_models.write_text_labels,
    "colours": onnx_models.write_image,
    "bfloat16": partial(onnx_models.write_casts, element=onnx_models.BF16),
    "int4": partial(onnx_models.write_casts, element=onnx_models.INT4),
    "sequence": partial(
        onnx_models.write_container, kind=onnx_models.make_sequence(onnx_models.FP32, is_optional=True)
    ),
    "map": onnx_models.write_map,
}
CONFIGS = {
    "pets": 'class_names = ["cat", "dog"]\n',
    "colours": '[image]\nsize = [4, 4]\nresize = "stretch"\nlayout = "NCHW"\ncolor = "RGB"\n',
}


@contextmanager
def running_service(redis_server, folder, **settings):
    """The service, until the context ends."""
    with redis_server.client() as client:
        client.flushall()
    for name, write in MODELS.items():
        write(folder / name)
    for name, text in CONFIGS.items():
        (folder / name / "model.toml").write_text(text)
    worker = WorkerProcess(redis_server.url, models_dir=folder, max_attempts=1)
    try:
        with serving(Settings(redis_url=redis_server.url, redis_timeout_seconds=20.0, **settings)) as proxy:
            wait_until(lambda: all(is_ready(proxy, name) for name in MODELS), 60, "the models")
            yield proxy
    finally:
        worker.end()


def is_ready(proxy, model):
    return httpx.get(f"http://127.0.0.1:{proxy.port}/v2/models/{model}/ready", timeout=60).status_code == 200
