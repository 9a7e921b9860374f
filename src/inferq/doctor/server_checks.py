"""What is wrong with the Redis or Valkey server."""

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.queue import is_cluster_url
from inferq.settings import Settings

if TYPE_CHECKING:
    from inferq.queue import ServerReport

_SLOW_SECONDS = 0.01
_NEARLY_FULL, _FULL = 0.8, 0.95
_CLOCK_SECONDS = 2.0
WEBHOOK_CLOCK_SECONDS = 300.0
"""Receivers that follow Standard Webhooks refuse what is older, or newer, than this."""


def check_server(report: "ServerReport", settings: Settings) -> Iterator[Finding]:
    """Judges what the server says of itself."""
    faults = {fault.part: fail(f"redis-{fault.part}", fault.reason, fault.remedy) for fault in report.faults}
    yield faults.get("version") or ok("redis-version", f"{report.name} {report.version}.")
    yield faults.get("eviction") or _check_eviction(report)
    yield faults.get("durability") or _check_durability(report)
    for what in report.failed_writes:
        yield fail(
            "redis-disk",
            f"The server could not write its {what} the last time.",
            "Make room on its disk, or see its log.",
        )
    yield _check_memory(report)
    yield _check_delays(report)
    yield from _check_topology(report, settings)
    yield from _check_value_bytes(report, settings)
    yield check_clock("clock", "This machine's clock", -report.clock_offset_seconds)


def check_clock(check: str, whose: str, ahead_seconds: float) -> Finding:
    """Judges how far a clock is ahead of the server's, which inferq counts by."""
    distance = f"{abs(ahead_seconds):.1f} s {'ahead of' if ahead_seconds > 0 else 'behind'} the server's"
    remedy = "Let NTP (chrony, systemd-timesyncd) set the clocks of all machines."
    if abs(ahead_seconds) > WEBHOOK_CLOCK_SECONDS:
        return fail(check, f"{whose} is {distance}: receivers refuse webhooks that it signs.", remedy)
    if abs(ahead_seconds) > _CLOCK_SECONDS:
        return warn(check, f"{whose} is {distance}: times in logs and webhooks are wrong.", remedy)
    return ok(check, f"{whose} and the server's differ by {abs(ahead_seconds):.1f} s.")


def _check_eviction(report: "ServerReport") -> Finding:
    if report.policy == "noeviction":
        return ok("redis-eviction", "The server deletes no jobs when memory is short (noeviction).")
    return warn(
        "redis-eviction",
        f"The server has maxmemory-policy {report.policy}, which deletes jobs as soon as maxmemory is set.",
        "Set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction.",
    )


def _check_durability(report: "ServerReport") -> Finding:
    check = "redis-durability"
    if report.has_append_only_file and report.appendfsync == "no":
        return warn(
            check,
            "The append-only file is written to disk when the system likes (appendfsync no).",
            "Set it: redis-cli CONFIG SET appendfsync everysec.",
        )
    if report.has_append_only_file:
        return ok(check, f"The append-only file is on (appendfsync {report.appendfsync or 'unknown'}).")
    lost = "all jobs" if report.save == "" else "the jobs since the last snapshot"
    return warn(
        check,
        f"The append-only file is off: a restart of the server loses {lost}.",
        "Turn it on: redis-cli CONFIG SET appendonly yes, and in the server's configuration file.",
    )


def _check_memory(report: "ServerReport") -> Finding:
    limit, what = report.limit_bytes, "maxmemory"
    if not limit:
        limit, what = report.machine_bytes, "its machine's memory"
    used = f"The server uses {_format_bytes(report.used_bytes)}"
    if not limit:
        return ok("redis-memory", f"{used}; it tells no limit.")
    share = report.used_bytes / limit
    message = f"{used}, {share:.0%} of {what} ({_format_bytes(limit)})."
    if share < _NEARLY_FULL:
        return ok("redis-memory", message)
    remedy = "Add workers, shorten INFERQ_RESULT_TTL_SECONDS, or give the server more memory."
    return (fail if share >= _FULL else warn)("redis-memory", message, remedy)


def _check_delays(report: "ServerReport") -> Finding:
    usual, longest = median(report.delays), report.delays[-1]
    message = f"The server answers in {1000 * usual:.1f} ms (median of {len(report.delays)}; "
    message += f"longest {1000 * longest:.1f} ms)."
    if usual < _SLOW_SECONDS:
        return ok("redis-latency", message)
    return warn(
        "redis-latency",
        message,
        "Run inferq in the server's network; see redis-cli --latency and SLOWLOG GET.",
    )


def _check_topology(report: "ServerReport", settings: Settings) -> Iterator[Finding]:
    if report.is_replica:
        yield fail(
            "redis-role",
            "The server is a replica, which takes no jobs.",
            "Name the primary in INFERQ_REDIS_URL, or let Sentinel name it (redis+sentinel://).",
        )
    else:
        yield ok("redis-role", f"The server is a primary with {report.replicas} replicas.")
    if report.is_cluster and not is_cluster_url(settings.redis_url):
        has_tag = "{" in settings.key_prefix
        yield (warn if has_tag else fail)(
            "redis-cluster",
            "The server belongs to a Redis Cluster, and "
            + ("is not left when it hands its keys on." if has_tag else "would not take all keys of a job."),
            "Name the cluster everywhere: INFERQ_REDIS_URL=redis+cluster://host:port,host:port.",
        )
    elif report.is_cluster and not report.replicas:
        yield warn(
            "redis-cluster",
            "No replica follows this node of the Redis Cluster: if it dies, its jobs are away, or lost.",
            "Add one: redis-cli --cluster add-node NEW NODE --cluster-slave.",
        )


def _check_value_bytes(report: "ServerReport", settings: Settings) -> Iterator[Finding]:
    if settings.blob_store and report.value_bytes is not None and settings.blob_bytes < report.value_bytes:
        return  # what is longer goes there
    longest = max(settings.max_body_bytes, settings.max_result_bytes)
    if report.value_bytes is not None and longest > report.value_bytes:
        yield warn(
            "redis-values",
            f"Bodies or results may have {_format_bytes(longest)}, but the server takes no value of more "
            f"than {_format_bytes(report.value_bytes)}.",
            "Raise its proto-max-bulk-len, or lower INFERQ_MAX_BODY_BYTES and INFERQ_MAX_RESULT_BYTES.",
        )


def _format_bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
