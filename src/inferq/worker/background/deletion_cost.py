"""Tells Kubernetes while this worker is in a long run, so that other pods go first when it scales down."""

import http.client
import json
import ssl
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import structlog

from inferq.jobs import LONG_RUN_SECONDS
from inferq.queue import Outage
from inferq.worker.periodic import Periodic
from inferq.worker.processor import Processor

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
_COST = "100"
_KEPT_SECONDS = 30.0
"""How long the mark stays after a run: between one long run and the next it need not go."""
_PAUSE_SECONDS = 2.0
_RETRY_SECONDS = 60.0
_TIMEOUT_SECONDS = 5.0
_API = "https://kubernetes.default.svc"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

log = structlog.get_logger()


class DeletionCost(Periodic):
    """Annotates the pod when a job has been held for long, and takes that away some time after.

    The API of Kubernetes is called when this changes, never at a steady pace. Without the right to change the
    pod, or without an answer, the worker goes on all the same, and tries again a minute later.

    Args:
        pod: Name of the pod.
        processor: Whose runs count.
        outage: Where Redis is noted to be away; this part does not call it.
        api: Where the API is.
        account: The folder with the token, the namespace and the certificate of the API.
        long_seconds: How long a job must have been held.
        kept_seconds: How long the annotation stays after that.
    """

    def __init__(
        self,
        pod: str,
        processor: Processor,
        outage: Outage,
        *,
        api: str = _API,
        account: Path = _ACCOUNT,
        long_seconds: float = LONG_RUN_SECONDS,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        super().__init__("deletion-cost", _PAUSE_SECONDS, outage)
        self._pod = pod
        self._processor = processor
        self._api = urlsplit(api)
        self._account = account
        self._long_seconds = long_seconds
        self._kept_seconds = kept_seconds
        self._held_since: dict[str, float] = {}  # by lease
        self._is_marked: bool | None = None  # not known of a pod whose worker has started again
        self._long_at = -kept_seconds
        self._retry_at = 0.0

    def run_once(self) -> bool:
        """Looks whether the run under way is long, and tells where that has changed."""
        now = time.monotonic()
        held = {job.token for job in self._processor.held}
        self._held_since = {token: self._held_since.get(token, now) for token in held}
        if any(now - since > self._long_seconds for since in self._held_since.values()):
            self._long_at = now
        is_long = now - self._long_at < self._kept_seconds
        if is_long is self._is_marked or now < self._retry_at:
            return False
        try:
            self._annotate(_COST if is_long else None)
        except (OSError, http.client.HTTPException, _RefusedError) as error:
            self._retry_at = now + _RETRY_SECONDS
            log.warning("deletion_cost_not_set", pod=self._pod, reason=str(error) or type(error).__name__)
            return False
        self._is_marked = is_long
        log.debug("deletion_cost_set", pod=self._pod, is_long=is_long)
        return False

    def _annotate(self, cost: str | None) -> None:
        """Patches the pod.

        Raises:
            OSError: A file of the account is missing, or the API is out of reach or is not the right one.
            HTTPException: What answers does not speak HTTP.
            _RefusedError: The API refuses it.
        """
        # read anew each time: the token is replaced every hour
        token, namespace = (
            (self._account / name).read_text(encoding="utf-8").strip() for name in ("token", "namespace")
        )
        connection = http.client.HTTPSConnection(
            self._api.hostname or "",
            self._api.port,
            timeout=_TIMEOUT_SECONDS,
            context=ssl.create_default_context(cafile=str(self._account / "ca.crt")),
        )
        try:
            connection.request(
                "PATCH",
                f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(self._pod, safe='')}",
                json.dumps({"metadata": {"annotations": {ANNOTATION: cost}}}),
                {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
            )
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise _RefusedError(f"{answer.status} {_read_message(answer.read(4096))}")
        finally:
            connection.close()


class _RefusedError(Exception):
    """The API has answered with an error."""


def _read_message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return ""
