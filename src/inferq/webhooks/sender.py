"""Sends webhooks, several at a time, on a thread of its own. Imported with the first delivery."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import httpcore
import structlog

from inferq.egress.network import AddressRefusedError, CheckedBackend, Resolver, make_pool, resolve
from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError
from inferq.jobs import Job
from inferq.webhooks.signing import Signer, build_message

MOST_CONNECTIONS = 16
MOST_BODY_BYTES = 16 * 1024
"""How much of a response's body is read, and dropped, so that the connection can be used again."""
BODY_SECONDS = 0.5
"""How long that may take."""
GRACE_SECONDS = 1.0
"""How long an attempt under way may go on when the process is told to stop."""
_LONGEST_ERROR = 300
_SUCCESS = range(200, 300)
_REDIRECTION = range(300, 400)
_GONE = 410
_USER_AGENT = f"inferq/{version('inferq')}"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt went.

    Attributes:
        error: Why it failed, for a person; empty if it succeeded.
        has_answered: Whether there was an HTTP answer.
        is_final: Whether the receiver wants no further attempt.
    """

    error: str = ""
    has_answered: bool = True
    is_final: bool = False


class WebhookSender:
    """Sends webhooks. It follows no redirects and uses no HTTP proxies of the environment.

    Args:
        policy: Which URLs may be called.
        secrets: The setting `webhook_secret`.
        timeout_seconds: Longest time for one whole attempt.
        resolver: Finds the addresses of names.
    """

    def __init__(
        self, policy: UrlPolicy, secrets: str, timeout_seconds: float, resolver: Resolver = resolve
    ) -> None:
        self._policy = policy
        self._signer = Signer(secrets)
        self._timeout_seconds = timeout_seconds
        self._backend = CheckedBackend(resolver, allows_private=policy.allows_private)
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webhooks", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def send(self, url: str, message_id: str, job: Job, done: Callable[[Delivery], None]) -> None:
        """Begins to send how a job ended.

        Args:
            url: Where to.
            message_id: The same for all attempts.
            job: The ended job.
            done: Called with how it went, on another thread; not if `stop` was called first.
        """
        self._loop.call_soon_threadsafe(self._begin, url, message_id, job, done)

    def stop(self) -> None:
        """Lets attempts under way end if they do so soon; drops the others."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        if self._tasks:
            _, rest = await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=GRACE_SECONDS)
        if self._pool is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._pool.aclose()

    def _begin(self, url: str, message_id: str, job: Job, done: Callable[[Delivery], None]) -> None:
        task = self._loop.create_task(self._deliver(url, message_id, job, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str, message_id: str, job: Job, done: Callable[[Delivery], None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                delivery = await self._post(url, message_id, job)
        except TimeoutError:
            delivery = _fail_without_answer(
                f"The receiver did not answer within {self._timeout_seconds:g} s."
            )
        except InvalidInputError as error:
            delivery = _fail_without_answer(f"Not sent: {error.message}")
        except AddressRefusedError:
            delivery = _fail_without_answer(
                "Not sent: webhook names a host that has an address that is not public "
                "(INFERQ_WEBHOOK_PRIVATE_ADDRESSES)."
            )
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            delivery = _fail_without_answer(
                f"The receiver did not answer: {str(error) or type(error).__name__}."
            )
        except Exception:  # the others must go on, and `done` must be called
            log.exception("webhook_not_sent", job_id=job.id, request_id=job.request_id or None)
            delivery = _fail_without_answer("Not sent: a fault of this service, which is in its log.")
        done(delivery)

    async def _post(self, url: str, message_id: str, job: Job) -> Delivery:
        target = self._policy.check(url)
        body = build_message(job)
        origin = (("X-Request-ID", job.request_id), ("traceparent", job.traceparent))
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("Host", target.authority),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("User-Agent", _USER_AGENT),
            *self._signer.sign(message_id, body).items(),
            *((name, value) for name, value in origin if value),
        ]
        address = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        if self._pool is None:
            self._pool = make_pool(self._backend, MOST_CONNECTIONS)
        async with self._pool.stream("POST", address, headers=headers, content=body) as response:
            await _drop_body(response)
            return _judge(response.status)


async def _drop_body(response: httpcore.Response) -> None:
    """Reads a short body to its end. Of a longer one it reads a part; the connection is then closed."""
    stream: Any = response.stream
    length = 0
    # the status decides alone, whatever happens to the body
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(BODY_SECONDS):
            async for part in stream:
                length += len(part)
                if length > MOST_BODY_BYTES:
                    return


def _judge(status: int) -> Delivery:
    if status in _SUCCESS:
        return Delivery()
    if status in _REDIRECTION:
        return Delivery(f"The receiver answered {status}; redirections are not followed.")
    return Delivery(f"The receiver answered {status}.", is_final=status == _GONE)


def _fail_without_answer(error: str) -> Delivery:
    return Delivery(error[:_LONGEST_ERROR], has_answered=False)
