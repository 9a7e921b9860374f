"""Gives the endpoints what the application keeps in its state for them."""

from fastapi.requests import HTTPConnection

from inferq.proxy.http.body_budget import BodyBudget
from inferq.proxy.services.health import HealthChecker
from inferq.proxy.services.model_catalog import ModelCatalog
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.request_checks import RequestRules
from inferq.queue import EventSubscriber, JobListing, Producer
from inferq.settings import Settings


def get_settings(connection: HTTPConnection) -> Settings:
    """Returns all settings."""
    settings: Settings = connection.app.state.settings
    return settings


def get_producer(connection: HTTPConnection) -> Producer:
    """Returns the queue's producer."""
    producer: Producer = connection.app.state.producer
    return producer


def get_subscriber(connection: HTTPConnection) -> EventSubscriber:
    """Returns the subscriber to the events of jobs."""
    subscriber: EventSubscriber = connection.app.state.subscriber
    return subscriber


def get_health_checker(connection: HTTPConnection) -> HealthChecker:
    """Returns the checker of the service's health."""
    checker: HealthChecker = connection.app.state.health_checker
    return checker


def get_listing(connection: HTTPConnection) -> JobListing:
    """Returns the listing of the queue's jobs."""
    return get_producer(connection).listing


def get_catalog(connection: HTTPConnection) -> ModelCatalog:
    """Returns the announced models."""
    catalog: ModelCatalog = connection.app.state.catalog
    return catalog


def get_request_rules(connection: HTTPConnection) -> RequestRules:
    """Returns the rules for prediction requests."""
    rules: RequestRules = connection.app.state.request_rules
    return rules


def get_process_pool(connection: HTTPConnection) -> ProcessPool:
    """Returns the processes for work that would block the event loop."""
    pool: ProcessPool = connection.app.state.process_pool
    return pool


def get_body_budget(connection: HTTPConnection) -> BodyBudget:
    """Returns the budget of request bodies that are under way."""
    budget: BodyBudget = connection.app.state.body_budget
    return budget


def get_owner(connection: HTTPConnection) -> str | None:
    """Returns the name of the connection's API key; None where none is needed."""
    owner: str | None = connection.scope.get("state", {}).get("owner")
    return owner
