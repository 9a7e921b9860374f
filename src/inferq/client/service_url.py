"""Where a service is, and the errors for an address where nothing answers, or something else."""

from urllib.request import getproxies, proxy_bypass

import httpx

from inferq.errors import InvalidSettingError, UnexpectedAnswerError, UnreachableError

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


_LONG_BODY_BYTES = 16 * 1024 * 1024
"""The default of the service's limit."""


def check_url(url: str) -> None:
    """Checks the address of a service.

    Raises:
        InvalidSettingError: It is none.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidSettingError(
            f"The address of the service cannot be read: {error}, got {url!r}."
        ) from error
    if parts.scheme not in ("http", "https") or not parts.host:
        raise InvalidSettingError(
            f"The address of the service must be like http://host:8000 or https://host, got {url!r}."
        )


def make_unreachable_error(request: str, error: httpx.TransportError) -> UnreachableError:
    """Makes the error for a service that did not answer."""
    reason = str(error) or type(error).__name__
    hint = ""
    if any(word in reason.upper().replace(" ", "_") for word in _NO_TLS):
        hint = " Nobody speaks TLS there: is it http:// rather than https://?"
    elif isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        hint = (
            _find_length_hint(error)
            or " If this is not the port of an inferq service, or it is one for https://, name the right one."
        )
    return UnreachableError(
        f"The service{_describe_address(error)} did not answer {request}: {reason}.{hint}"
    )


def _find_length_hint(error: httpx.TransportError) -> str:
    """Says that a long body may be the reason: the answer to it is lost where it is still being sent."""
    try:
        length = int(error.request.headers.get("content-length", 0))
    except (RuntimeError, ValueError):  # made by hand, without a request
        return ""
    if length <= _LONG_BODY_BYTES:
        return ""
    return f" The body has {length:,} bytes: the service may take none so long (INFERQ_MAX_BODY_BYTES)."


def make_unexpected_error(request: str, answer: httpx.Response) -> UnexpectedAnswerError:
    """Makes the error for an answer that inferq does not give."""
    location = answer.headers.get("location")
    where = f" to {location!r}" if answer.is_redirect and location else ""
    return UnexpectedAnswerError(
        f"{request} was answered with {answer.status_code} {answer.reason_phrase}{where}, in a way in which "
        f"inferq does not answer. Is this the address of an inferq service{_describe_address(answer)}?",
        request_id=answer.headers.get("x-request-id"),
    )


def _describe_address(answer: httpx.Response | httpx.TransportError) -> str:
    """Says which address was asked, without user and password, and the proxy on the way there."""
    try:
        url = answer.request.url
    except RuntimeError:  # made by hand, without a request
        return ""
    text = f" at {url.scheme}://{url.netloc.decode()}"
    if proxy := _find_proxy(url):
        text += (
            f" (asked through {proxy}, the proxy that {url.scheme}_proxy or all_proxy names; "
            f"NO_PROXY={url.host} goes past it)"
        )
    return text


def _find_proxy(url: httpx.URL) -> str | None:
    """Returns the proxy of the environment for an address, as httpx takes it."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.host):
        return None
    return proxy.rpartition("@")[2]
