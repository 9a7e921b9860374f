"""What was found in several shards, as one: errors of failed jobs, and comparisons of versions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from inferq.queue.inspection.error_groups import MOST_GROUPS, ErrorGroup, ErrorGroups
from inferq.queue.inspection.shadow_report import MeasuredRuns, ShadowReport, sort_differing
from inferq.queue.shards.merged_metrics import add_histograms

_EPOCH = datetime.fromtimestamp(0, UTC)


def merge_error_groups(found: Sequence[ErrorGroups]) -> ErrorGroups:
    """Joins groups of the same error; the example is the latest of all."""
    groups: dict[tuple[str | None, str, str], ErrorGroup] = {}
    for group in (group for one in found for group in one.groups):
        key = (group.error_kind, group.error, group.model)
        known = groups.get(key)
        groups[key] = group if known is None else _join(known, group)
    ordered = sorted(groups.values(), key=lambda group: -group.count)
    is_complete = len(ordered) <= MOST_GROUPS and all(one.is_complete for one in found)
    return ErrorGroups(ordered[:MOST_GROUPS], is_complete)


def _join(one: ErrorGroup, other: ErrorGroup) -> ErrorGroup:
    latest = max(one, other, key=lambda group: group.latest_at or _EPOCH)
    return replace(latest, count=one.count + other.count)


def merge_shadows(reports: Sequence[Sequence[ShadowReport]]) -> list[ShadowReport]:
    """Adds up what each shard has found of each candidate."""
    by_version: dict[str, ShadowReport] = {}
    for report in (report for of_shard in reports for report in of_shard):
        known = by_version.get(report.version)
        by_version[report.version] = report if known is None else _add_reports(known, report)
    return [by_version[version] for version in sorted(by_version)]


def _add_reports(one: ShadowReport, other: ShadowReport) -> ShadowReport:
    latest = max(one, other, key=lambda report: report.since or _EPOCH)
    begun = [report.since for report in (one, other) if report.since is not None]
    return replace(
        latest,
        since=min(begun, default=None),
        compared=one.compared + other.compared,
        agreed=one.agreed + other.agreed,
        differed=one.differed + other.differed,
        failed=one.failed + other.failed,
        missed=one.missed + other.missed,
        skipped=one.skipped + other.skipped,
        waiting=one.waiting + other.waiting,
        absolute=max(one.absolute, other.absolute),
        relative=max(one.relative, other.relative),
        primary_runs=_add_runs(one.primary_runs, other.primary_runs),
        candidate_runs=_add_runs(one.candidate_runs, other.candidate_runs),
        differing=sort_differing([*one.differing, *other.differing]),
    )


def _add_runs(one: MeasuredRuns, other: MeasuredRuns) -> MeasuredRuns:
    return MeasuredRuns(add_histograms((one.times, other.times)), one.jobs + other.jobs)
