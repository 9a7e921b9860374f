"""All checks of an installation, one after the other."""

import asyncio
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

from inferq.doctor.blob_checks import check_blob_store, check_sharing
from inferq.doctor.finding import Finding, Level, fail, ok
from inferq.doctor.model_checks import check_announced, check_repository, check_restart
from inferq.doctor.provider_checks import check_provider_names, check_used_providers
from inferq.doctor.proxy_checks import check_proxy
from inferq.doctor.rollout_checks import check_generation, check_rollouts, check_versions
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
from inferq.queue import AnyProducer, Producer, find_unavailable, mask_url, open_producer, split_settings
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
    yield from check_provider_names(settings)
    yield from check_keys(settings)
    yield from check_traces(os.environ)
    yield from check_webhooks(settings)
    versions, found = check_repository(settings)
    yield from found
    store_id, found = check_blob_store(settings)
    yield from found
    yield from asyncio.run(_check_redis(settings, own_version, versions, store_id))
    yield from check_proxy(settings, own_version)


async def _check_redis(
    settings: Settings, own_version: str, versions: dict[str, str], store_id: str
) -> list[Finding]:
    """Checks the server of each shard, and what the workers have written there."""
    try:
        shards = split_settings(settings)
        producer = open_producer(settings)
    except InvalidSettingError as error:
        return [fail(REACHED, error.message, "")]
    found: list[Finding] = []
    try:
        for number, shard in enumerate(shards):
            prefix = f"Shard {number}: " if len(shards) > 1 else ""
            found += [
                replace(finding, message=prefix + finding.message) for finding in await _check_shard(shard)
            ]
        if any(finding.check == REACHED and finding.level is Level.OK for finding in found):
            found += await _check_queues(producer, settings, own_version, versions, store_id)
        return found
    finally:
        await producer.close()


async def _check_shard(settings: Settings) -> list[Finding]:
    """Checks one server."""
    where, producer = mask_url(settings.redis_url), Producer.from_settings(settings)
    try:
        report = await producer.read_server_report()
        found = [ok(REACHED, f"{report.name} at {where} answers."), *check_server(report, settings)]
        return found + await _check_writes(producer, is_fit=not (report.faults or report.is_replica))
    except RedisUnavailableError as error:
        remedy = (
            "Start it, or correct INFERQ_REDIS_URL (--redis-url; inferq up prints that of its own server)."
        )
        return [fail(REACHED, f"{where}: {error.message} Its workers are not checked.", remedy)]
    finally:
        await producer.close()


async def _check_queues(
    producer: AnyProducer, settings: Settings, own_version: str, versions: dict[str, str], store_id: str
) -> list[Finding]:
    """Checks workers, models and jobs; another program may have written over their keys."""
    try:
        stats, last = await producer.read_stats(), await producer.read_last_heartbeat()
        announced = await producer.read_models()
        rollouts, generation = await producer.read_rollouts(), await producer.read_generation()
    except RedisUnavailableError as error:
        return [fail("queue", f"Workers, models and jobs cannot be read: {error.message}", "")]
    unavailable = find_unavailable(stats.workers)
    return [
        *check_workers(stats, last, own_version, settings),
        *check_sharing(settings, store_id, stats.workers),
        *check_queues(stats.models),
        *check_announced(sorted(announced), stats.workers, unavailable, settings),
        *check_used_providers(announced),
        *check_restart(versions, stats.workers, socket.gethostname()),
        *check_versions(stats.workers),
        *check_rollouts(rollouts, stats.workers),
        *check_generation(generation, stats.workers),
    ]


async def _check_writes(producer: Producer, *, is_fit: bool) -> list[Finding]:
    """Does what a submit does; not with a server of which it is known already that it is unfit."""
    if not is_fit:
        return []
    try:
        await producer.check_takes_jobs()
    except RedisUnavailableError as error:
        return [fail("redis-writes", error.message, "")]
    return [ok("redis-writes", "The server takes jobs.")]
