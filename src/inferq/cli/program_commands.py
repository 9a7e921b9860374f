"""Commands that run inferq's programs: `inferq up`, `inferq proxy` and `inferq worker`."""

from pathlib import Path
from typing import Annotated

import typer

from inferq.errors import InvalidSettingError

Host = Annotated[str, typer.Option(help="Address that the proxy listens on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port that the proxy listens on.")]
RedisUrl = Annotated[
    str | None,
    typer.Option(help="Use this Redis or Valkey server.", envvar="INFERQ_REDIS_URL", show_envvar=True),
]
Models = Annotated[
    Path | None,
    typer.Argument(
        metavar="PATH",
        help="A folder of models, the folder of one model, or a .onnx file; INFERQ_MODELS_DIR if left out. "
        "One model alone is the default model.",
        show_default=False,
    ),
]
ModelsOption = Annotated[Path | None, typer.Option("--models", help="The same as PATH.", metavar="PATH")]


def up(
    path: Models = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 2,
    proxies: Annotated[int, typer.Option(min=1, help="Number of proxy processes.")] = 1,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    redis_url: RedisUrl = None,
    models: ModelsOption = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the embedded server keeps its data.", envvar="INFERQ_DATA_DIR"),
    ] = None,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="Keep payloads in an object store (SeaweedFS), not in a folder.")
    ] = False,
) -> None:
    """Start everything on this machine: an embedded Valkey server, the proxy and the workers."""
    from inferq.local.up import up as run
    from inferq.settings import load_settings

    if path and models:
        raise InvalidSettingError("Name the models once: either as PATH or with --models.")
    chosen = {"redis_url": redis_url, "models_dir": path or models, "data_dir": data_dir}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    run(
        settings,
        host=host,
        port=port,
        workers=workers,
        proxies=proxies,
        embedded=redis_url is None,
        has_object_store=blobs,
    )


def proxy(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    share_port: Annotated[
        bool, typer.Option("--share-port", help="Let other proxies with this option listen there too.")
    ] = False,
) -> None:
    """Run one proxy alone; its settings come from the environment."""
    from inferq.processes import end_with_parent
    from inferq.proxy.server import main as serve
    from inferq.settings import load_settings

    end_with_parent()
    serve(host, port, load_settings(), shares_port=share_port)


def worker() -> None:
    """Run one worker alone; its settings come from the environment."""
    from inferq.worker.main import main as work

    work()
