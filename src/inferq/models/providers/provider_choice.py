"""Which execution provider runs a model: the first one wanted that runs its sample."""

from collections.abc import Callable

import structlog

from inferq.errors import InvalidModelError
from inferq.models.model import Model
from inferq.models.providers.execution_providers import ExecutionConfig
from inferq.models.providers.execution_table import CPU, PROVIDERS
from inferq.models.runtime_errors import shorten

log = structlog.get_logger(__name__)


def load_on_providers(load: Callable[[ExecutionConfig], Model], execution: ExecutionConfig) -> Model:
    """Loads a model on the preferred provider that also runs it: some load what they fail to run.

    Args:
        load: Loads the model on the first provider that loads it.
        execution: Which providers are wanted.

    Raises:
        InvalidModelError: It cannot be served; or a provider is not used, and the configuration is strict.
    """
    model = _load_and_try(load, execution)
    problem = model.document.provider_problem
    if problem and execution.is_strict:
        raise InvalidModelError(
            f"{model.name}: {problem} It is refused, since INFERQ_STRICT_PROVIDERS is set, or strict in "
            "[execution] of its model.toml."
        )
    if problem:
        log.warning("provider_not_used", model=model.name, reason=problem, providers=model.document.providers)
    return model


def _load_and_try(load: Callable[[ExecutionConfig], Model], execution: ExecutionConfig) -> Model:
    model = load(execution)
    provider = next(name for name, known in PROVIDERS.items() if known == model.document.providers[0])
    if provider == CPU or not (reason := model.find_failure()):
        return model
    other = _load_and_try(
        load, execution.give_up(provider, f"It fails on the model's sample. {shorten(reason)}")
    )
    return model if other.find_failure() else other  # if none runs it, the sample is to blame
