"""What requests for predictions must keep to, besides the signatures of models."""

from dataclasses import dataclass
from typing import Any, Self

from inferq.egress.bucket_policy import BucketPolicy
from inferq.egress.url_policy import UrlPolicy
from inferq.proxy.http.bodies.predict_body import PredictBody, read_members, read_options
from inferq.remote_inputs.source_rules import SourceRules
from inferq.settings import Settings


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What a request for predictions must keep to, besides the model's signature.

    Attributes:
        default_model: The setting of that name.
        max_rows: Most rows in one job.
        max_run_timeout_seconds: Largest `timeout` to accept.
        webhook_rules: Which URLs to accept as `webhook`; None: none.
        job_ttl_seconds: Largest `expires_in` to accept.
        source_rules: Which files data may name by URLs.
        output_rules: Which folders to accept as `output`.
    """

    default_model: str
    max_rows: int
    max_run_timeout_seconds: float
    webhook_rules: UrlPolicy | None
    job_ttl_seconds: float
    source_rules: SourceRules
    output_rules: BucketPolicy

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Returns the rules that the settings state."""
        return cls(
            settings.default_model,
            settings.max_rows,
            settings.max_run_timeout_seconds,
            UrlPolicy.for_webhooks(settings),
            settings.job_ttl_seconds,
            SourceRules.from_settings(settings),
            BucketPolicy.for_outputs(settings),
        )

    @property
    def limits(self) -> tuple[float, UrlPolicy | None, float, BucketPolicy]:
        """What the functions of `predict_body` take of them."""
        return self.max_run_timeout_seconds, self.webhook_rules, self.job_ttl_seconds, self.output_rules

    def read_members(self, body: dict[str, Any]) -> PredictBody:
        """Reads the members of a request for a job; see `read_members`."""
        return read_members(body, *self.limits)

    def read_options(self, options: dict[str, Any]) -> PredictBody:
        """Reads the same without data; see `read_options`."""
        return read_options(options, *self.limits)
