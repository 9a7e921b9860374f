"""What the application keeps for its endpoints."""

from fastapi.requests import HTTPConnection

from inferq.proxy.http.body_budget import BodyBudget
from inferq.proxy.services.health import HealthChecker
from inferq.proxy.services.model_catalog import ModelCatalog
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.request_checks import RequestRules
from inferq.queue import EventSubscriber, JobListing, Producer
from inferq.settings import Settings


def get_settings(connection: HTTPConnection) -> Settings:
    """The settings of the application."""
    settings: Settings = connection.app.state.settings
    return settings


def get_producer(connection: HTTPConnection) -> Producer:
    """The queue."""
    producer: Producer = connection.app.state.producer
    return producer


def get_subscriber(connection: HTTPConnection) -> EventSubscriber:
    """Who waits for which job."""
    subscriber: EventSubscriber = connection.app.state.subscriber
    return subscriber


def get_health_checker(connection: HTTPConnection) -> HealthChecker:
    """How the service is."""
    checker: HealthChecker = connection.app.state.health_checker
    return checker


def get_listing(connection: HTTPConnection) -> JobListing:
    """The queue's jobs, page by page."""
    return get_producer(connection).listing


def get_catalog(connection: HTTPConnection) -> ModelCatalog:
    """The announced models."""
    catalog: ModelCatalog = connection.app.state.catalog
    return catalog


def get_request_rules(connection: HTTPConnection) -> RequestRules:
    """What requests for predictions are held to."""
    rules: RequestRules = connection.app.state.request_rules
    return rules


def get_process_pool(connection: HTTPConnection) -> ProcessPool:
    """Processes for what would take the event loop too long."""
    pool: ProcessPool = connection.app.state.process_pool
    return pool


def get_body_budget(connection: HTTPConnection) -> BodyBudget:
    """How much of request bodies may be under way."""
    budget: BodyBudget = connection.app.state.body_budget
    return budget


def get_owner(connection: HTTPConnection) -> str | None:
    """Name of the API key that it came with; None where none is needed."""
    owner: str | None = connection.scope.get("state", {}).get("owner")
    return owner
