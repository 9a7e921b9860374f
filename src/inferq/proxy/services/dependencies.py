"""What the application keeps for its endpoints."""

from fastapi.requests import HTTPConnection

from inferq.proxy.http.body_budget import BodyBudget
from inferq.proxy.services.health import Health
from inferq.proxy.services.model_catalog import ModelCatalog
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.request_checks import Terms
from inferq.queue.events.subscriber import EventSubscriber
from inferq.queue.inspection.listing import JobListing
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings


def settings_of(connection: HTTPConnection) -> Settings:
    """The settings of the application."""
    settings: Settings = connection.app.state.settings
    return settings


def producer_of(connection: HTTPConnection) -> Producer:
    """The queue."""
    producer: Producer = connection.app.state.producer
    return producer


def notices_of(connection: HTTPConnection) -> EventSubscriber:
    """Who waits for which job."""
    notices: EventSubscriber = connection.app.state.notices
    return notices


def health_of(connection: HTTPConnection) -> Health:
    """How the service is."""
    health: Health = connection.app.state.health
    return health


def listing_of(connection: HTTPConnection) -> JobListing:
    """The queue's jobs, page by page."""
    listing: JobListing = connection.app.state.listing
    return listing


def catalog_of(connection: HTTPConnection) -> ModelCatalog:
    """The announced models."""
    catalog: ModelCatalog = connection.app.state.catalog
    return catalog


def terms_of(connection: HTTPConnection) -> Terms:
    """What requests for predictions are held to."""
    terms: Terms = connection.app.state.terms
    return terms


def offload_pool_of(connection: HTTPConnection) -> ProcessPool:
    """Processes for what would take the event loop too long."""
    pool: ProcessPool = connection.app.state.offload_pool
    return pool


def body_budget_of(connection: HTTPConnection) -> BodyBudget:
    """How much of request bodies may be under way."""
    budget: BodyBudget = connection.app.state.body_budget
    return budget


def owner_of(connection: HTTPConnection) -> str | None:
    """Name of the API key that it came with; None where none is needed."""
    owner: str | None = connection.scope.get("state", {}).get("owner")
    return owner
