"""What is wrong with the proxy at a URL: whether it answers, what it is, and who may use it."""

import ipaddress
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx

from inferq.client.answers import make_error
from inferq.client.service_url import check_url, make_unexpected_error
from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.errors import InferqError, InvalidSettingError, UnauthorizedError
from inferq.settings import Settings

_VISIBLE = re.compile("[!-~]*")
_LONGEST_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}


def check_proxy(settings: Settings, own_version: str) -> Iterator[Finding]:
    """Asks the proxy at `INFERQ_URL` what it is, with and without the key of this environment.

    Where that is not set, it is no fault that none answers at the default.

    Args:
        settings: The URL, and the key that clients send.
        own_version: Version of this inferq.
    """
    url = settings.url.strip().rstrip("/")
    if fault := _find_unusable_setting(url, settings.api_key.strip()):
        yield fault
        return
    try:
        health, about = _ask(url, "/health"), _ask(url, "/", settings.api_key.strip())
    except UnauthorizedError:
        known = "the key of INFERQ_API_KEY is none that it knows" if settings.api_key else "none is set here"
        yield warn(
            "proxy",
            f"The proxy at {_mask(url)} wants a key, and {known}: its version is not known.",
            "Set INFERQ_API_KEY to a key that is in its INFERQ_API_KEYS.",
        )
        return
    except InferqError as error:
        if "url" in settings.model_fields_set:
            yield fail("proxy", error.message, "Start the proxy, or correct INFERQ_URL (--url).")
        else:
            yield ok("proxy", f"No proxy at {url}. Set INFERQ_URL (--url) to have one checked.")
        return
    yield _judge_health(url, health)
    yield from _check_version(url, about, own_version)
    yield from _check_access(url)


def _find_unusable_setting(url: str, key: str) -> Finding | None:
    """Finds a URL or a key with which no request can be made, whose errors would show passwords."""
    try:
        check_url(url)
    except InvalidSettingError:
        remedy = "Set it to an address such as http://host:8000 or https://host."
        return fail("proxy", "INFERQ_URL (--url) is no address of a service.", remedy)
    if not _VISIBLE.fullmatch(key):
        remedy = "Set a key as `inferq key` makes it."
        return fail("proxy", "INFERQ_API_KEY has characters other than visible ASCII.", remedy)
    return None


def _ask(url: str, path: str, key: str = "") -> dict[str, Any]:
    """Returns what a proxy says.

    Raises:
        UnauthorizedError: It wants another key.
        InferqError: It does not answer, or is no proxy of ours.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = f"GET {path}"
    try:
        answer = httpx.get(url + path, headers=headers, timeout=_LONGEST_SECONDS)
    except httpx.TransportError as error:
        raise make_error(request, error) from error
    try:
        document: Any = answer.json()
    except ValueError as error:
        raise make_unexpected_error(request, answer) from error
    if isinstance(document, dict) and ("components" in document or document.get("name") == "inferq"):
        return document
    raise make_error(request, answer)


def _judge_health(url: str, health: dict[str, Any]) -> Finding:
    status = health.get("status")
    if status == "healthy":
        return ok("proxy", f"The proxy at {_mask(url)} is healthy.")
    faults = "; ".join(f"{part}: {state}" for part, state in health["components"].items() if state != "ok")
    judge = fail if status == "unhealthy" else warn
    return judge(
        "proxy", f"The proxy at {_mask(url)} is {status}: {faults}.", "See what is said of these parts."
    )


def _check_version(url: str, about: dict[str, Any], own_version: str) -> Iterator[Finding]:
    version = str(about.get("version"))
    if version == own_version:
        yield ok("versions", f"The proxy and this command are inferq {own_version}.")
    else:
        yield warn(
            "versions",
            f"The proxy at {_mask(url)} is inferq {version}; this command is {own_version}.",
            "Bring all to one version: stop the old processes before new ones start.",
        )


def _check_access(url: str) -> Iterator[Finding]:
    """Finds out whether everybody may use the proxy, and from where."""
    try:
        _ask(url, "/")
    except InferqError:
        yield ok("api-keys", "The proxy wants a key.")
        return
    if not (reached := _find_address_beyond_loopback(url)):
        yield ok(
            "api-keys", "The proxy wants no key; it was not found at an address beyond this machine's own."
        )
        return
    yield warn(
        "api-keys",
        f"The proxy wants no key, and everybody who reaches {reached} may use it.",
        "Make keys (inferq key NAME) and set INFERQ_API_KEYS, or listen on 127.0.0.1 behind a reverse proxy.",
    )


def _find_address_beyond_loopback(url: str) -> str | None:
    """Returns an address at which the proxy of a URL answers to other machines; None if none is known."""
    parts = httpx.URL(url)
    if not _is_loopback(parts.host):
        return parts.host
    port = parts.port or _PORTS[parts.scheme]
    address = find_own_address()
    if address is None:
        return None
    try:
        answer = httpx.get(f"{parts.scheme}://{address}:{port}/", timeout=1.0, trust_env=False)
        return address if answer.json()["name"] == "inferq" else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def find_own_address() -> str | None:
    """Returns the address by which this machine reaches others; nothing is sent for that."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # for documentation: RFC 5737
            address: str = probe.getsockname()[0]
    except OSError:
        return None
    return None if _is_loopback(address) else address


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _mask(url: str) -> str:
    """Returns a URL without user and password."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"
