"""The limits that an application sets to the connections of the server that runs it."""

from dataclasses import dataclass

from uvicorn.config import Config

from inferq.proxy.http.bodies.body_budget import BodyBudget


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What our protocols hold each connection to: `app.state.connection_limits`.

    Attributes:
        request_timeout_seconds: How long a client may pause within a request or a message.
        body_budget: The budget of bodies and messages that are under way.
    """

    request_timeout_seconds: float
    body_budget: BodyBudget


def find_connection_limits(config: Config) -> ConnectionLimits:
    """Returns the limits of the application that a server runs; the defaults, if it sets none."""
    limits = getattr(getattr(config.app, "state", None), "connection_limits", None)
    if isinstance(limits, ConnectionLimits):
        return limits
    return ConnectionLimits(request_timeout_seconds=30.0, body_budget=BodyBudget(config.ws_max_size))
