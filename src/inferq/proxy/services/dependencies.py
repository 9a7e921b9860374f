"""What the application keeps for its endpoints."""

from dataclasses import dataclass

from fastapi.requests import HTTPConnection

from inferq.observability.traces import Traces
from inferq.proxy.http.bodies.body_budget import BodyBudget
from inferq.proxy.services.activity_feed import ActivityFeed
from inferq.proxy.services.health import HealthChecker
from inferq.proxy.services.metrics import MetricsReader
from inferq.proxy.services.models.model_catalog import ModelCatalog
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.proxy.services.upload_service import UploadService
from inferq.queue import AnyProducer, EventSubscriber
from inferq.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What all endpoints of one application share.

    Attributes:
        settings: All settings.
        producer: The queue's producer.
        subscriber: The subscriber to the events of jobs.
        activity: The feed of what happens in the whole service.
        health_checker: Checks the service's health.
        catalog: The announced models.
        request_rules: The rules for prediction requests.
        process_pool: The processes for work that would block the event loop.
        body_budget: The budget of request bodies that are under way.
        metrics: Reads the metrics.
        traces: The spans of this process.
        uploads: Files that clients send before their jobs.
    """

    settings: Settings
    producer: AnyProducer
    subscriber: EventSubscriber
    activity: ActivityFeed
    health_checker: HealthChecker
    catalog: ModelCatalog
    request_rules: RequestRules
    process_pool: ProcessPool
    body_budget: BodyBudget
    metrics: MetricsReader
    traces: Traces
    uploads: UploadService

    def close_streams(self) -> None:
        """Ends every stream, and answers every client that waits: the process is about to stop."""
        self.subscriber.close()
        self.activity.close()


def get_services(connection: HTTPConnection) -> Services:
    """Returns the services of the application that serves a connection."""
    services: Services = connection.app.state.services
    return services


def get_owner(connection: HTTPConnection) -> str | None:
    """Returns the name of the connection's API key; None where none is needed."""
    owner: str | None = connection.scope.get("state", {}).get("owner")
    return owner
