"""What the application keeps for its endpoints."""

from fastapi import Request

from inferq.proxy.catalog import Catalog
from inferq.queue.producer import Producer
from inferq.settings import Settings


def settings_of(request: Request) -> Settings:
    """The settings of the application."""
    settings: Settings = request.app.state.settings
    return settings


def producer_of(request: Request) -> Producer:
    """The queue."""
    producer: Producer = request.app.state.producer
    return producer


def catalog_of(request: Request) -> Catalog:
    """The announced models."""
    catalog: Catalog = request.app.state.catalog
    return catalog


def owner_of(request: Request) -> str | None:
    """Name of the API key that the request came with; None where none is needed."""
    owner: str | None = getattr(request.state, "owner", None)
    return owner
