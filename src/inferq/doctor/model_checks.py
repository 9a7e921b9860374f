"""What is wrong with models: in the repository of this machine, and among those that workers announce."""

from collections.abc import Iterator, Mapping, Sequence

from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.errors import InvalidModelError
from inferq.jobs import WorkerInfo
from inferq.model_names import get_model_name
from inferq.models.config import read_config
from inferq.models.onnx_files.graph import read_graph
from inferq.models.repository.model_choice import ModelChoice
from inferq.models.repository.model_version import VERSION_DIGITS, read_digest
from inferq.models.repository.repository_scan import ModelFolder, scan_repository
from inferq.models.sessions.custom_ops import find_libraries
from inferq.settings import Settings
from inferq.terminal import make_printable


def check_repository(settings: Settings) -> tuple[dict[str, str], list[Finding]]:
    """Reads the repository of this machine, its files but not their weights; no model is loaded.

    Returns:
        Name to version of the models that can be read; and what was found.
    """
    path = settings.models_dir
    if "models_dir" not in settings.model_fields_set and not path.exists():
        return {}, [ok("repository", f"There is no folder {path} here: workers elsewhere have their own.")]
    try:
        scan = ModelChoice(settings.models).apply(scan_repository(path))
    except InvalidModelError as error:
        return {}, [fail("repository", error.message, "")]
    judge = fail if settings.strict_models else warn
    versions: dict[str, str] = {}
    found = [judge("repository", f"{make_printable(name)}: {why}", "") for name, why in scan.skipped.items()]
    for folder in scan.folders:
        try:
            versions[folder.name] = _read_model(folder)
        except InvalidModelError as error:
            found.append(judge("repository", make_printable(error.message), ""))
    if versions:
        models = ", ".join(f"{make_printable(name)} {version}" for name, version in versions.items())
        return versions, [ok("repository", f"{path} has {models}."), *found]
    remedy = f"Add one, such as {path / 'iris' / 'model.onnx'}, or set INFERQ_MODELS_DIR."
    return {}, [fail("repository", f"{path} has no model that can be served.", remedy), *found]


def check_announced(
    announced: Sequence[str],
    workers: Sequence[WorkerInfo],
    unavailable: Mapping[str, str],
    settings: Settings,
) -> Iterator[Finding]:
    """Judges what workers have announced.

    Args:
        announced: Names of the announced models.
        workers: The live workers.
        unavailable: Name to reason of the models that workers have left out, and none serves.
        settings: Which model is the default.
    """
    served: dict[str, set[str]] = {}
    for worker in workers:
        for name in filter(_is_model, worker.models):
            served.setdefault(name, set()).add(worker.model_versions.get(name, ""))
    for name, reason in unavailable.items():
        yield fail("models", f"{name} is left out by its workers: {reason}", "")
    for name, reason in sorted({one for worker in workers for one in worker.left_out.items()}):
        if name not in unavailable:
            yield warn("models", f"{name}, as workers have found it: {reason}", "")
    for name in filter(_is_model, announced):
        if name not in served and workers:
            yield warn(
                "models", f"{name} is announced, but no live worker serves it.", "Start a worker that has it."
            )
    for name, versions in sorted(served.items()):
        if len(versions - {""}) > 1:
            yield warn(
                "models",
                f"Workers serve different versions of {name}: {', '.join(sorted(versions))}.",
                f"Give all the same repository, and run inferq models reload {name}.",
            )
    if served:
        yield ok("models", f"Live workers serve {', '.join(sorted(served))}.")
        yield from _check_default(served, settings)


def check_restart(versions: Mapping[str, str], workers: Sequence[WorkerInfo], host: str) -> Iterator[Finding]:
    """Finds models of this machine's repository that its workers have not read as they are now.

    Args:
        versions: Name to version of the models in the repository.
        workers: The live workers.
        host: Name of this machine.
    """
    own = [worker for worker in workers if worker.host == host]
    for name, version in versions.items():
        known = {worker.model_versions.get(name) for worker in own if name not in worker.left_out}
        if known - {version}:
            yield warn(
                "models",
                f"{name} is version {version} in the repository here, and workers of this machine serve "
                f"{', '.join(sorted(found or 'none' for found in known - {version}))}.",
                "If they read this repository, they follow within INFERQ_MODELS_POLL_SECONDS, or at "
                "once: inferq models reload. Else read their logs.",
            )


def _is_model(name: str) -> bool:
    """Whether a name is a model's, not that of one of its versions."""
    return get_model_name(name) == name


def _check_default(served: Mapping[str, object], settings: Settings) -> Iterator[Finding]:
    name = settings.default_model
    is_alone = len(served) == 1 and "default_model" not in settings.model_fields_set
    if name not in served and not is_alone:
        yield warn(
            "models",
            f"No live worker serves the default model {name!r}: requests that name no model are refused.",
            f"Set INFERQ_DEFAULT_MODEL to one of {', '.join(sorted(served))}.",
        )


def _read_model(folder: ModelFolder) -> str:
    """Returns the version of a model.

    Raises:
        InvalidModelError: It cannot be served, as far as that can be seen without loading it.
    """
    path = folder.path
    file = path / "model.onnx"
    config = read_config(path / "model.toml", path.parent / "model.toml" if folder.version else None)
    graph = read_graph(file)
    digest = read_digest(file, graph.external_files, find_libraries(path, folder.version, config.custom_ops))
    if not (graph.axis_names or graph.unranked):
        raise InvalidModelError(f"{file} is no ONNX model, or is damaged. Export it again.")
    return folder.version or digest[:VERSION_DIGITS]
