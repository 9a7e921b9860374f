from xml.etree import ElementTree

import pytest
from benchmarks.figures import Figure, figure_of, grouped
from benchmarks.machine import Machine, describe_others
from benchmarks.picture import picture, scale
from benchmarks.report import number, page, summary, table
from benchmarks.targets import Target, judge, missed

MACHINE = Machine(
    "A processor, 2 processors", "8.0 GB", "Linux 6.1", ("Python 3.13.0",), "2026-01-01 00:00 UTC"
)
DRAIN = [
    figure_of("drain", "inferq", [50_000.0, 40_000.0, 60_000.0], "jobs/s"),
    figure_of("drain", "seed's loop", [1_500.0], "jobs/s"),
    figure_of("drain", "Celery", [2_000.0], "jobs/s"),
]


def test_a_figure_is_the_median_of_its_rounds_between_lowest_and_highest() -> None:
    assert figure_of("drain", "inferq", [3.0, 1.0, 9.0], "jobs/s") == Figure(
        "drain", "inferq", 3.0, "jobs/s", 1.0, 9.0
    )


def test_figures_of_one_measure_stand_together_in_the_order_of_first_appearance() -> None:
    mixed = [figure_of(measure, "inferq", [1.0], "s") for measure in ("b", "a", "b")]
    assert [figure.measure for figure in grouped(mixed)] == ["b", "b", "a"]


def test_a_ratio_is_met_or_missed_at_the_rival_it_is_to() -> None:
    ours, seed, celery = judge(DRAIN)
    assert (ours.target, ours.met) == ("", None)
    assert (seed.target, seed.met) == ("≥ 25 ×", True)
    assert (celery.target, celery.met) == ("≥ 40 ×", False)


@pytest.mark.parametrize(("ours", "met"), [(0.44, True), (0.45, True), (0.46, False)])
def test_where_less_is_better_the_bound_is_from_above(ours: float, met: bool) -> None:
    figures = [figure_of("idle latency", "inferq", [ours], "ms"), figure_of("idle latency", "x", [1.0], "ms")]
    judged = judge(figures, [Target("idle latency", 0.45, "x", at_most=True)])
    assert (judged[1].target, judged[1].met) == ("≤ 0.45 ×", met)


def test_a_bound_without_a_rival_is_judged_by_inferqs_own_figure() -> None:
    judged = judge([figure_of("idle cost in 20 s", "inferq", [0.06], "s")])
    assert (judged[0].target, judged[0].met) == ("≤ 0.05 s", False)


def test_a_target_is_not_judged_where_inferq_was_not_measured() -> None:
    assert judge(DRAIN[1:])[0].met is None


def test_a_measures_own_target_is_kept() -> None:
    own = figure_of("replicas", "8 workers", [0.97], "of linear", target="≥ 0.95", met=True)
    assert judge([own]) == [own]


def test_the_table_says_what_is_missed_and_how_many_times_a_rival_inferq_is() -> None:
    lines = table(judge(DRAIN)).splitlines()
    assert lines[2] == "| drain | inferq | 50,000 jobs/s | 40,000 – 60,000 |  |  |  |"
    assert lines[3] == "| drain | seed's loop | 1,500 jobs/s | 1,500 – 1,500 | 33.3 × | ≥ 25 × | yes |"
    assert lines[4] == "| drain | Celery | 2,000 jobs/s | 2,000 – 2,000 | 25 × | ≥ 40 × | **missed** |"


def test_a_rival_at_zero_has_no_ratio() -> None:
    figures = [figure_of("idle cost", "inferq", [0.01], "s"), figure_of("idle cost", "seed", [0.0], "s")]
    assert "×" not in table(figures).splitlines()[3]


def test_the_summary_names_every_missed_target() -> None:
    assert len(missed(judge(DRAIN))) == 1
    assert summary(judge(DRAIN)) == "1 of 2 targets were met. Missed: drain (Celery): ≥ 40 ×."
    assert summary(DRAIN) == "No target was judged."


def test_the_page_tells_of_machine_disturbance_and_what_was_not_measured() -> None:
    text = page(
        judge(DRAIN), {"submit": "wrk is not\ninstalled."}, MACHINE, "Undisturbed.", "Medians of 3 rounds."
    )
    for words in (
        "2 processors",
        "Python 3.13.0",
        "Undisturbed.",
        "**Not measured: submit.** wrk is not installed.",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("others", "stolen", "start"),
    [(0.2, 0.0, "**Disturbed run**"), (0.0, 0.05, "**Disturbed run**"), (0.02, 0.0, "Undisturbed")],
)
def test_a_run_that_others_disturbed_is_said_so(others: float, stolen: float, start: str) -> None:
    assert describe_others(others, stolen, 0.1).startswith(start)


def test_the_picture_is_well_formed_and_has_one_bar_for_each_subject() -> None:
    lonely = figure_of("depth", "inferq", [1.0], "ms")
    strange = figure_of("drain", "<&>", [3.0], "jobs/s")
    root = ElementTree.fromstring(picture([*DRAIN, strange, lonely]))
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "bar", "bar", "bar"]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert widths == [max(widths), widths[1], widths[2], min(widths)]
    assert widths[3] > 0


def test_the_picture_has_colours_for_dark_mode() -> None:
    assert "prefers-color-scheme: dark" in picture(DRAIN)


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.5, 2.0], [999.0, 50_000.0], [1000.0, 1000.0]])
def test_every_value_lies_within_the_scale(values: list[float]) -> None:
    lowest, highest = scale(values)
    assert lowest < highest
    assert all(10.0**lowest < value <= 10.0**highest for value in values)


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (99.94, "99.9"), (0.0312, "0.0312"), (0.0, "0")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
