"""All checks of an installation, one after the other."""

import asyncio
import os
import socket
from collections.abc import Iterator
from importlib.metadata import version

from inferq.doctor.finding import Finding, fail, ok
from inferq.doctor.model_checks import check_announced, check_repository, check_restart
from inferq.doctor.proxy_checks import check_proxy
from inferq.doctor.server_checks import check_server
from inferq.doctor.setting_checks import (
    check_combinations,
    check_keys,
    check_traces,
    check_variables,
    check_webhooks,
)
from inferq.doctor.worker_checks import check_queues, check_workers
from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.queue import Producer, QueueStats, find_unavailable, mask_url
from inferq.settings import Settings, load_valid_settings

REACHED = "redis"
"""The check whether Redis is in reach."""


def diagnose(**overrides: object) -> Iterator[Finding]:
    """Checks the installation that the environment's settings describe.

    What cannot be reached is a finding; the rest is checked all the same.

    Args:
        **overrides: Settings that take precedence over the environment, by field name.
    """
    settings, errors = load_valid_settings(**overrides)
    own_version = version("inferq")
    yield from check_variables(os.environ, errors)
    yield from check_combinations(settings)
    yield from check_keys(settings)
    yield from check_traces(os.environ)
    yield from check_webhooks(settings)
    versions, found = check_repository(settings)
    yield from found
    yield from asyncio.run(_check_redis(settings, own_version, versions))
    yield from check_proxy(settings, own_version)


async def _check_redis(settings: Settings, own_version: str, versions: dict[str, str]) -> list[Finding]:
    """Checks the server, and what the workers have written there."""
    try:
        producer = Producer.from_settings(settings)
    except InvalidSettingError as error:
        return [fail(REACHED, error.message, "")]
    found: list[Finding] = []
    try:
        report = await producer.read_server_report()
        found.append(ok(REACHED, f"{report.name} at {mask_url(settings.redis_url)} answers."))
        found += check_server(report, settings)
        found += await _check_writes(producer, is_fit=not (report.faults or report.is_replica))
        stats, last = await producer.read_stats(), await producer.read_last_heartbeat()
        found += check_workers(stats, last, own_version, settings)
        found += check_queues(stats.models)
        found += _check_models(await producer.read_models(), stats, versions, settings)
    except RedisUnavailableError as error:
        where = mask_url(settings.redis_url)
        remedy = (
            "Start it, or correct INFERQ_REDIS_URL (--redis-url; inferq up prints that of its own server)."
        )
        found.append(fail(REACHED, f"{where}: {error.message}", remedy))
    finally:
        await producer.close()
    return found


async def _check_writes(producer: Producer, *, is_fit: bool) -> list[Finding]:
    """Does what a submit does; not with a server of which it is known already that it is unfit."""
    if not is_fit:
        return []
    try:
        await producer.check_takes_jobs()
    except RedisUnavailableError as error:
        return [fail("redis-writes", error.message, "")]
    return [ok("redis-writes", "The server takes jobs.")]


def _check_models(
    announced: dict[str, bytes], stats: QueueStats, versions: dict[str, str], settings: Settings
) -> Iterator[Finding]:
    yield from check_announced(sorted(announced), stats.workers, find_unavailable(stats.workers), settings)
    yield from check_restart(versions, stats.workers, socket.gethostname())
