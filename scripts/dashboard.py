"""Writes the Grafana dashboard of deploy/monitoring: `uv run scripts/dashboard.py`.

The builders of Grafana's Foundation SDK know the dashboard's schema, so nothing else gets into the file.

Every proxy tells the same numbers of the whole service: they are taken once (`max by`), never added up over
proxies. Only what a process knows of itself (`http_…`, `process_…`) is.
"""

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

FILE = Path(__file__).resolve().parent.parent / "deploy/monitoring/grafana/dashboards/inferq.json"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24


@dataclass(frozen=True)
class _Figure:
    """One number, coloured.

    Attributes:
        title: What it is.
        unit: Grafana's name of the unit, such as `s` or `bytes`.
        query: Its expression.
        colours: From which number on it has which colour; `None` for all below.
    """

    title: str
    unit: str
    query: str
    colours: dict[float | None, str] = field(default_factory=lambda: {None: "blue"})


@dataclass(frozen=True)
class _Graph:
    """Lines over time.

    Attributes:
        title: What they are.
        unit: Grafana's name of the unit.
        queries: Legend to expression; a legend may name labels as `{{model}}`.
        about: What to make of it, where the title does not say.
    """

    title: str
    unit: str
    queries: dict[str, str]
    about: str = ""


def _once(labels: str, selector: str) -> str:
    """Numbers of the whole service by these labels, whichever proxies tell them."""
    return f"max by ({labels}) ({selector})"


def _rate(labels: str, selector: str) -> str:
    """What counters of the whole service grow by in a second, whichever proxies tell them."""
    return _once(labels, f"rate({selector}[$__rate_interval])")


def _quantile(share: float, histogram: str, labels: str = "") -> str:
    """A quantile of a histogram of the whole service, by these labels; by none: over all chosen models."""
    buckets = _rate("model, le", f'{histogram}_bucket{{model=~"$model"}}')
    return f"histogram_quantile({share}, sum by ({', '.join([*labels.split(), 'le'])}) ({buckets}))"


_SUBMITTED = _rate("model, priority", 'inferq_jobs_submitted_total{model=~"$model"}')
_ENDED = _rate("model, outcome, error_kind", 'inferq_jobs_ended_total{model=~"$model"}')
_COMPLETED = _rate("model", 'inferq_jobs_ended_total{model=~"$model", outcome="completed"}')
# what clients cancel is no failure of the service
_FAILED = _rate(
    "model, error_kind",
    'inferq_jobs_ended_total{model=~"$model", outcome="failed", error_kind!="cancelled"}',
)
_JOBS = _once("model, state, priority", 'inferq_jobs{model=~"$model"}')
_WAITING = _once("model, priority", 'inferq_jobs{model=~"$model", state="waiting"}')
_WORKERS = _once("model", 'inferq_workers{model=~"$model"}')
_PROCESS = "{{job}} {{instance}} {{process_pid}}"
_RUN_SECONDS = _rate("model, key", 'inferq_model_run_seconds_total{model=~"$model"}')

FIGURES = [
    _Figure("Jobs waiting", "short", f"sum({_WAITING})"),
    _Figure(
        "Oldest job waits",
        "s",
        'max(inferq_oldest_wait_seconds{model=~"$model"})',
        {None: "green", 60: "yellow", 300: "red"},
    ),
    _Figure("Jobs completed a second", "short", f"sum({_COMPLETED})"),
    _Figure(
        "Share of failures",
        "percentunit",
        f"sum({_FAILED}) / sum({_ENDED})",
        {None: "green", 0.01: "yellow", 0.05: "red"},
    ),
    _Figure("Models without a worker", "short", f"sum({_WORKERS} == bool 0)", {None: "green", 1: "red"}),
    _Figure("Redis is reached (1) or not (0)", "short", "min(inferq_redis_up)", {None: "red", 1: "green"}),
]

ROWS = {
    "Traffic": [
        _Graph(
            "Jobs a second",
            "short",
            {"submitted": f"sum({_SUBMITTED})", "{{outcome}}": f"sum by (outcome) ({_ENDED})"},
            "While submitted stays above the ends, the queue grows.",
        ),
        _Graph("Jobs submitted a second, by model", "short", {"{{model}}": f"sum by (model) ({_SUBMITTED})"}),
        _Graph(
            "Jobs submitted a second, by priority",
            "short",
            {"{{priority}}": f"sum by (priority) ({_SUBMITTED})"},
        ),
        _Graph(
            "Requests a second, by status",
            "reqps",
            {
                "{{http_response_status_code}}": "sum by (http_response_status_code) "
                '(rate(http_server_request_duration_seconds_count{job=~"inferq.*"}[$__rate_interval]))'
            },
        ),
        _Graph(
            "Requests a second, by route",
            "reqps",
            {
                "{{http_request_method}} {{http_route}}": "sum by (http_request_method, http_route) "
                '(rate(http_server_request_duration_seconds_count{job=~"inferq.*"}[$__rate_interval]))'
            },
        ),
        _Graph(
            "Time to answer a request, 95 % are faster",
            "s",
            {
                "{{http_request_method}} {{http_route}}": "histogram_quantile(0.95, "
                "sum by (http_request_method, http_route, le) "
                '(rate(http_server_request_duration_seconds_bucket{job=~"inferq.*"}[$__rate_interval])))'
            },
            "A request that waits for its job (Prefer, ?wait=, events) takes as long as it waits.",
        ),
    ],
    "Queue": [
        _Graph("Jobs by state", "short", {"{{state}}": f"sum by (state) ({_JOBS})"}),
        _Graph("Jobs waiting, by model and priority", "short", {"{{model}} {{priority}}": _WAITING}),
        _Graph(
            "How long the oldest waits",
            "s",
            {"{{model}}": _once("model", 'inferq_oldest_wait_seconds{model=~"$model"}')},
            "It grows by a second in a second where no worker takes jobs of the model.",
        ),
    ],
    "Time to result": [
        _Graph(
            "From submit to end",
            "s",
            {f"{share:.0%}": _quantile(share, "inferq_total_seconds") for share in (0.5, 0.95, 0.99)},
            "So many of the jobs that ended were faster.",
        ),
        _Graph(
            "From submit to start, 95 % are faster",
            "s",
            {"{{model}}": _quantile(0.95, "inferq_wait_seconds", "model")},
        ),
        _Graph(
            "One run, 95 % are faster",
            "s",
            {"{{model}}": _quantile(0.95, "inferq_run_seconds", "model")},
        ),
    ],
    "Workers": [
        _Graph("Workers, by model", "short", {"{{model}}": _WORKERS}),
        _Graph(
            "Workers that are busy, on average",
            "short",
            {"{{model}}": f"sum by (model) ({_RUN_SECONDS})"},
            "Seconds of running in a second. As many as there are workers: all are busy, more would help.",
        ),
        _Graph(
            "Seconds of running in a second, by API key",
            "short",
            {"{{key}}": f"sum by (key) ({_RUN_SECONDS})"},
            "What each key costs; the time of a run is shared out over its batch.",
        ),
        _Graph(
            "Jobs that took another way, a second",
            "short",
            {
                "lease lapsed": f"sum({_rate('model', 'inferq_leases_lapsed_total')})",
                "recovered": f"sum({_rate('model', 'inferq_jobs_recovered_total')})",
                "retried": f"sum({_rate('model', 'inferq_retries_total')})",
                "ended late": f"sum({_rate('model', 'inferq_late_finishes_total')})",
                "ended twice": f"sum({_rate('model', 'inferq_stale_finishes_total')})",
            },
            "Leases lapse where workers die or hang.",
        ),
    ],
    "Batches": [
        _Graph(
            "Jobs in a run, on average",
            "short",
            {
                "{{model}}": f"{_rate('model', 'inferq_batch_jobs_sum{model=~"$model"}')} / "
                f"{_rate('model', 'inferq_batch_jobs_count{model=~"$model"}')}"
            },
        ),
        _Graph(
            "Jobs in a run, 95 % have fewer",
            "short",
            {"{{model}}": _quantile(0.95, "inferq_batch_jobs", "model")},
        ),
        _Graph(
            "Runs a second",
            "short",
            {"{{model}}": _rate("model", 'inferq_batch_jobs_count{model=~"$model"}')},
        ),
    ],
    "Failures": [
        _Graph("Failures a second, by kind", "short", {"{{error_kind}}": f"sum by (error_kind) ({_FAILED})"}),
        _Graph("Failures a second, by model", "short", {"{{model}}": f"sum by (model) ({_FAILED})"}),
        _Graph(
            "Dead letters",
            "short",
            {"{{model}}": _once("model", 'inferq_dead_letters{model=~"$model"}')},
            "Jobs that have failed for good and are kept: inferq dead list, inferq dead retry.",
        ),
        _Graph("Webhooks that wait", "short", {"{{state}}": _once("state", "inferq_webhooks")}),
        _Graph(
            "Webhooks that ended, a second",
            "short",
            {"{{state}}": _rate("state", "inferq_webhooks_ended_total")},
        ),
        _Graph(
            "Receivers of webhooks that are left alone for a while",
            "short",
            {"circuit breakers open": "max(inferq_circuit_breakers_open)"},
        ),
    ],
    "Saturation": [
        _Graph(
            "Data in the queue",
            "bytes",
            {"held": "max(inferq_queue_bytes)", "limit": "max(inferq_queue_limit_bytes) > 0"},
            "At the limit, submits are refused (queue-full).",
        ),
        _Graph(
            "Memory of Redis",
            "bytes",
            {"used": "max(inferq_redis_memory_bytes)", "limit": "max(inferq_redis_memory_limit_bytes) > 0"},
            "At the limit, Redis refuses writes. Without maxmemory there is none, and the system ends Redis.",
        ),
        _Graph(
            "Processors in use, by process",
            "short",
            {_PROCESS: 'rate(process_cpu_seconds_total{job=~"inferq.*"}[$__rate_interval])'},
            "A proxy is full at 1.",
        ),
        _Graph(
            "Memory, by process",
            "bytes",
            {_PROCESS: 'process_resident_memory_bytes{job=~"inferq.*"}'},
        ),
    ],
}


def make_dashboard() -> str:
    """The text of the file."""
    board = (
        dashboard.Dashboard("inferq")
        .uid("inferq")
        .description("Whether jobs flow, how long they wait, and why they fail.")
        .tags(["inferq"])
        .time("now-1h", "now")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .annotations([])
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("model")
            .label("Model")
            .datasource(_SOURCE)
            .query("label_values(inferq_workers, model)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(VariableOption(text="All", value="$__all", selected=True))
        )
    )
    ids = itertools.count(1)
    for figure in FIGURES:
        board.with_panel(_draw_figure(figure).id(next(ids)))
    for title, graphs in ROWS.items():
        board.with_row(dashboard.Row(title).id(next(ids)))
        for graph in graphs:
            board.with_panel(_draw_graph(graph).id(next(ids)).span(_WIDTH // _count_beside(graphs)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _count_beside(graphs: list[_Graph]) -> int:
    """How many graphs stand side by side: three or four, so that no line has a gap."""
    return 4 if len(graphs) % 4 == 0 else 3


def _draw_figure(figure: _Figure) -> stat.Panel:
    steps = [Threshold(value=value, color=colour) for value, colour in figure.colours.items()]
    return (
        stat.Panel()
        .title(figure.title)
        .datasource(_SOURCE)
        .unit(figure.unit)
        .height(4)
        .span(_WIDTH // len(FIGURES))
        .no_value("–")
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(prometheus.Dataquery().expr(figure.query).range().ref_id("A"))
    )


def _draw_graph(graph: _Graph) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .datasource(_SOURCE)
        .unit(graph.unit)
        .min(0)
        .height(8)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if graph.about:
        panel.description(graph.about)
    for letter, (legend, query) in zip("ABCDEFGH", graph.queries.items(), strict=False):
        panel.with_target(prometheus.Dataquery().expr(query).legend_format(legend).range().ref_id(letter))
    return panel


if __name__ == "__main__":
    FILE.write_text(make_dashboard(), encoding="utf-8")
