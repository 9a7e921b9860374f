"""What is wrong with the settings: names, keys, secrets, and values that do not fit together."""

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.errors import InvalidSettingError
from inferq.observability.traces import are_wanted, find_hindrance
from inferq.settings import EARLIER_NAMES, Settings, name_variables

LONGEST_REDIS_CALL_SECONDS = 5.0
"""How long a worker may wait for Redis at least, before it tries another connection."""

_OTHER_VARIABLES = ("INFERQ_PORT", "INFERQ_SUPERVISOR_PID")
"""Variables that are no settings: of docker-compose.yml, and of `inferq up` for its children."""
_DIGEST_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_PUBLISHED_SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the example of Standard Webhooks
_LEAST_DIFFERENT_BYTES = 12
"""So many different bytes even an unlucky random secret of 24 has."""
_SHORTEST_RESULT_SECONDS = 60.0


def check_variables(
    environment: Mapping[str, str], errors: Iterable[InvalidSettingError]
) -> Iterator[Finding]:
    """Judges the variables of the environment.

    Args:
        environment: All of them.
        errors: What is not valid among them.
    """
    found = [fail("settings", error.message, "Correct it; the default was used here.") for error in errors]
    known = {name for field in Settings.model_fields for name in name_variables(field)}
    for name in sorted(environment):
        if name.startswith("INFERQ_") and name not in known and name not in _OTHER_VARIABLES:
            close = get_close_matches(name, known, 1)
            remedy = f"Did you mean {close[0]}?" if close else "Remove it, or see SPECIFICATION.md, Settings."
            found.append(warn("settings", f"{name} is set, but there is no such setting.", remedy))
    for field, earlier in EARLIER_NAMES.items():
        name, old = (f"INFERQ_{one.upper()}" for one in (field, earlier))
        if environment.get(old):
            ignored = " It is ignored, since both are set." if environment.get(name) else ""
            found.append(warn("settings", f"{old} is now called {name}.{ignored}", "Rename it."))
    yield from found or [ok("settings", "Every INFERQ_ variable of the environment is known and valid.")]


def check_combinations(settings: Settings) -> Iterator[Finding]:
    """Finds values that do not fit together."""
    yield from _check_leases(settings)
    yield from _check_limits(settings)
    if settings.simulated_run_seconds:
        yield warn(
            "settings",
            f"INFERQ_SIMULATED_RUN_SECONDS is {settings.simulated_run_seconds:g}: every job takes so long.",
            "Remove it, unless this is a demonstration.",
        )
    if settings.allowed_origins.strip() == "*" and not settings.api_keys:
        yield warn(
            "settings",
            "INFERQ_ALLOWED_ORIGINS is *, and no key is wanted: every web page may use this service.",
            "Name the pages' origins, or set INFERQ_API_KEYS.",
        )


def _check_leases(settings: Settings) -> Iterator[Finding]:
    lease, heartbeat = settings.lease_seconds, settings.heartbeat_seconds
    call_seconds = max(LONGEST_REDIS_CALL_SECONDS, settings.redis_timeout_seconds)
    if lease <= call_seconds:
        yield warn(
            "settings",
            f"INFERQ_LEASE_SECONDS is {lease:g}, but a worker may wait {call_seconds:g} s for one answer of "
            "Redis: after a short outage its jobs run a second time.",
            f"Set INFERQ_LEASE_SECONDS to more than {call_seconds:g}.",
        )
    if heartbeat > lease:
        yield warn(
            "settings",
            f"INFERQ_HEARTBEAT_SECONDS is {heartbeat:g}: a dead worker counts as alive for "
            f"{3 * heartbeat:g} s, though its jobs go to others after {lease:g} s.",
            "Set it to a third of INFERQ_LEASE_SECONDS or less.",
        )


def _check_limits(settings: Settings) -> Iterator[Finding]:
    if settings.run_timeout_seconds > settings.max_run_timeout_seconds:
        yield warn(
            "settings",
            f"INFERQ_RUN_TIMEOUT_SECONDS ({settings.run_timeout_seconds:g}) is more than the longest that a "
            f"request may ask for (INFERQ_MAX_RUN_TIMEOUT_SECONDS, {settings.max_run_timeout_seconds:g}).",
            "Raise the latter.",
        )
    if settings.max_body_bytes > settings.max_inflight_bytes:
        yield warn(
            "settings",
            "INFERQ_MAX_BODY_BYTES is more than INFERQ_MAX_INFLIGHT_BYTES: a body of that length that has to "
            "be received whole, such as JSON, is read alone, and others are answered with 503 meanwhile.",
            "Raise INFERQ_MAX_INFLIGHT_BYTES.",
        )
    if settings.result_ttl_seconds < _SHORTEST_RESULT_SECONDS:
        yield warn(
            "settings",
            f"INFERQ_RESULT_TTL_SECONDS is {settings.result_ttl_seconds:g}: results vanish before slow "
            "clients read them.",
            "Set it to some minutes at least.",
        )


def check_traces(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Judges whether traces that OpenTelemetry's variables ask for can be made here."""
    if not are_wanted(environment):
        return
    if reason := find_hindrance(environment):
        yield warn("traces", reason, "")
    else:
        yield ok("traces", "Traces are on here.")


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Judges the API keys that are set here, for a proxy and for clients."""
    pairs = [pair.split(":") for pair in settings.api_keys.split(",") if pair]
    names = [name for name, _ in pairs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield warn(
            "api-keys",
            f"INFERQ_API_KEYS has the name {name!r} several times: its keys share their jobs.",
            "Give each user a name, unless a key is being replaced.",
        )
    for name, digest in pairs:
        if digest == _DIGEST_OF_NOTHING:
            yield fail(
                "api-keys",
                f"The key of {name!r} in INFERQ_API_KEYS is empty: everybody may use its name.",
                f"Make a key: inferq key {name}.",
            )
    if unknown := {name.strip() for name in settings.metrics_keys.split(",") if name.strip()} - {*names}:
        yield warn(
            "api-keys",
            f"INFERQ_METRICS_KEYS names {', '.join(sorted(unknown))}, of which INFERQ_API_KEYS has no key.",
            "Make the keys (inferq key NAME), or leave the names out.",
        )
    if not settings.api_key:
        return
    digest = hashlib.sha256(settings.api_key.strip().encode()).hexdigest()
    if pairs and digest not in {known for _, known in pairs}:
        yield warn(
            "api-keys",
            "INFERQ_API_KEY, which clients send, is none of INFERQ_API_KEYS.",
            "Set one of those keys, or leave one of both settings out here.",
        )


def check_webhooks(settings: Settings) -> Iterator[Finding]:
    """Judges the settings of webhooks."""
    secrets = [one.removeprefix("whsec_") for one in re.split(r"[ ,]+", settings.webhook_secret) if one]
    if not secrets:
        if settings.webhook_allowed_hosts or settings.webhook_private_addresses:
            yield warn(
                "webhooks",
                "Webhooks are off here, though INFERQ_WEBHOOK_* settings are set.",
                'Set INFERQ_WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)" for proxies and workers.',
            )
        return
    if any(_is_guessable(secret) for secret in secrets):
        yield fail(
            "webhooks",
            "INFERQ_WEBHOOK_SECRET can be guessed: it is an example, or not random.",
            'Make one: echo "whsec_$(openssl rand -base64 32)".',
        )
    else:
        yield ok("webhooks", f"Webhooks are signed with {len(secrets)} secrets of at least 24 random bytes.")
    if settings.webhook_private_addresses and not settings.webhook_allowed_hosts:
        yield warn(
            "webhooks",
            "Clients may have any address of this network called (INFERQ_WEBHOOK_PRIVATE_ADDRESSES).",
            "Name the receivers in INFERQ_WEBHOOK_ALLOWED_HOSTS.",
        )
    elif not settings.webhook_allowed_hosts:
        yield warn(
            "webhooks",
            "Clients may have any public host called, and results go there.",
            "Name the receivers in INFERQ_WEBHOOK_ALLOWED_HOSTS, if they are known.",
        )


def _is_guessable(secret: str) -> bool:
    return (
        secret.rstrip("=") == _PUBLISHED_SECRET
        or len(set(b64decode(secret + "==="))) < _LEAST_DIFFERENT_BYTES
    )
