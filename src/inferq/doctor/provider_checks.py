"""Which execution providers run models, and which that were wanted do not."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from inferq.doctor.finding import Finding, ok, warn
from inferq.errors import InvalidModelError
from inferq.models.providers.execution_table import name_unknown, split_names
from inferq.settings import Settings
from inferq.tensors.signature import ModelDocument


def check_provider_names(settings: Settings) -> Iterator[Finding]:
    """Finds names in the settings that are none of an execution provider."""
    for name, reason in name_unknown(split_names(settings.providers)).items():
        yield warn("settings", f"INFERQ_PROVIDERS has {name!r}: {reason}", "Correct it.")


def check_used_providers(announced: Mapping[str, bytes]) -> Iterator[Finding]:
    """Judges what workers have announced.

    Args:
        announced: Name to document of the models, as they are in Redis.
    """
    users: dict[str, list[str]] = {}
    problems: dict[tuple[str, str], list[str]] = {}
    for name, text in sorted(announced.items()):
        with suppress(InvalidModelError):  # the proxy tells of it
            document = ModelDocument.from_json(text)
            if document.providers:
                users.setdefault(document.providers[0], []).append(name)
            if document.provider_problem:
                problems.setdefault((document.providers[0], document.provider_problem), []).append(name)
    for (provider, problem), names in problems.items():
        yield warn(
            "providers",
            f"{provider} runs {', '.join(names)}. {problem}",
            "Mend that, or leave it out of INFERQ_PROVIDERS, or of [execution] in their model.toml.",
        )
    for provider, names in sorted(users.items()):
        yield ok("providers", f"{provider} runs {', '.join(names)}.")
