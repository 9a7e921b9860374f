"""What the application keeps for its endpoints."""

from fastapi import Request

from inferq.proxy.catalog import Catalog
from inferq.queue.listing import Listing
from inferq.queue.producer import Producer
from inferq.settings import Settings
from inferq.webhooks.urls import UrlRules


def settings_of(request: Request) -> Settings:
    """The settings of the application."""
    settings: Settings = request.app.state.settings
    return settings


def producer_of(request: Request) -> Producer:
    """The queue."""
    producer: Producer = request.app.state.producer
    return producer


def listing_of(request: Request) -> Listing:
    """The queue's jobs, page by page."""
    listing: Listing = request.app.state.listing
    return listing


def catalog_of(request: Request) -> Catalog:
    """The announced models."""
    catalog: Catalog = request.app.state.catalog
    return catalog


def webhook_rules_of(request: Request) -> UrlRules | None:
    """Which webhooks may be asked for; None where there are none."""
    rules: UrlRules | None = request.app.state.webhook_rules
    return rules


def owner_of(request: Request) -> str | None:
    """Name of the API key that the request came with; None where none is needed."""
    owner: str | None = getattr(request.state, "owner", None)
    return owner
