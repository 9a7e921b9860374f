"""What the application keeps for its endpoints."""

from fastapi.requests import HTTPConnection

from inferq.proxy.catalog import Catalog
from inferq.proxy.health import Health
from inferq.queue.listing import Listing
from inferq.queue.notices import Notices
from inferq.queue.producer import Producer
from inferq.settings import Settings
from inferq.webhooks.urls import UrlRules


def settings_of(connection: HTTPConnection) -> Settings:
    """The settings of the application."""
    settings: Settings = connection.app.state.settings
    return settings


def producer_of(connection: HTTPConnection) -> Producer:
    """The queue."""
    producer: Producer = connection.app.state.producer
    return producer


def notices_of(connection: HTTPConnection) -> Notices:
    """Who waits for which job."""
    notices: Notices = connection.app.state.notices
    return notices


def health_of(connection: HTTPConnection) -> Health:
    """How the service is."""
    health: Health = connection.app.state.health
    return health


def listing_of(connection: HTTPConnection) -> Listing:
    """The queue's jobs, page by page."""
    listing: Listing = connection.app.state.listing
    return listing


def catalog_of(connection: HTTPConnection) -> Catalog:
    """The announced models."""
    catalog: Catalog = connection.app.state.catalog
    return catalog


def webhook_rules_of(connection: HTTPConnection) -> UrlRules | None:
    """Which webhooks may be asked for; None where there are none."""
    rules: UrlRules | None = connection.app.state.webhook_rules
    return rules


def owner_of(connection: HTTPConnection) -> str | None:
    """Name of the API key that it came with; None where none is needed."""
    owner: str | None = connection.scope.get("state", {}).get("owner")
    return owner
