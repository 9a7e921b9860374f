"""The figures as a Markdown page: targets first, then every server, then the rest."""

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.machine import Machine
from benchmarks.report import number
from benchmarks.tensors.pictures import CNN_MODEL, TRIVIAL_MODEL
from benchmarks.tensors.tensor_targets import Verdict

_MODELS = (TRIVIAL_MODEL, CNN_MODEL)
_COLUMNS = ("", ", p50", ", p99", ", processor time", ", memory")
_TARGETS = "| measure | inferq | target | measured | met |\n| --- | --- | ---: | ---: | --- |"
_SERVERS = (
    "| server | req/s | p50, ms | p99, ms | processor time a request, ms | peak memory, MB |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |"
)
_OTHERS = "| measure | subject | median | lowest – highest |\n| --- | --- | ---: | ---: |"
_CONDITIONS = (
    "One FP32 picture of 3×224×224, 602,112 bytes, in each request, on 16 kept connections with blocking "
    "sockets, from another process than the servers'; the first answer of each is checked. All run the same "
    "files by ONNX Runtime, in two processes with a thread each; the servers take turns. inferq has one "
    "proxy, two workers, and its Redis with an append-only file synced every second, all of which count as "
    "inferq's; the others answer synchronously and keep nothing. Triton runs the trivial model in one "
    "process, and MLServer in its own, which is best for each. Processor time and memory are those of whole "
    "trees of processes; memory that processes share counts for each of them."
)


def tensor_page(
    figures: Sequence[Figure],
    verdicts: Sequence[Verdict],
    failures: Mapping[str, str],
    machine: Machine,
    disturbance: str,
    conditions: str,
) -> str:
    """Writes the page.

    Args:
        figures: What was measured.
        verdicts: Whether the targets are met.
        failures: Why a server or a measure is missing, by its name.
        machine: Where.
        disturbance: Whether others were in the way.
        conditions: Rounds and length of the run, in a sentence.

    Returns:
        Markdown.
    """
    parts = [
        "# Pictures and arrays, beside other servers of models",
        f"{conditions} {disturbance} Written by `uv run --group bench-tensors python -m benchmarks.tensors`.",
        "![The same figures as bars](results.svg)",
        summarize(verdicts),
        "\n".join([_TARGETS, *map(str, verdicts)]),
        *(
            f"## {model[0].upper()}{model[1:]}\n\n{servers_table(figures, model)}"
            for model in _MODELS
            if any(figure.measure == model for figure in figures)
        ),
        f"## The rest\n\n{others_table(figures)}",
        *(f"**Not measured: {name}.** {shorten(reason)}" for name, reason in failures.items()),
        _CONDITIONS,
        f"Machine: {machine.processor}, {machine.memory}, {machine.system}; {machine.date}.",
        f"Versions: {', '.join(machine.versions)}.",
    ]
    return "\n\n".join(parts) + "\n"


def summarize(verdicts: Sequence[Verdict]) -> str:
    """How many targets are met, and of how many that cannot be told."""
    met, missed, unknown = (sum(one.met is value for one in verdicts) for value in (True, False, None))
    text = f"{met} of {met + missed} targets were met"
    return f"{text}; {unknown} could not be judged." if unknown else f"{text}."


def servers_table(figures: Sequence[Figure], model: str) -> str:
    """A row for each server, the one with the most requests a second first."""
    values = {(figure.measure, figure.subject): figure.value for figure in figures}
    subjects = [subject for measure, subject in values if measure == model]
    subjects.sort(key=lambda subject: -values[model, subject])
    rows = [
        " | ".join([f"| {subject}", *(number(values[model + suffix, subject]) for suffix in _COLUMNS), ""])
        for subject in subjects
    ]
    return "\n".join([_SERVERS, *(row.rstrip() for row in rows)])


def others_table(figures: Sequence[Figure]) -> str:
    """All that is not in the tables of servers."""
    known = {model + suffix for model in _MODELS for suffix in _COLUMNS}
    rows = [
        f"| {figure.measure} | {figure.subject} | {number(figure.value)} {figure.unit} "
        f"| {number(figure.low)} – {number(figure.high)} |"
        for figure in figures
        if figure.measure not in known
    ]
    return "\n".join([_OTHERS, *rows])


def shorten(reason: str) -> str:
    """A reason on one line, which is not longer than a person reads."""
    words = " ".join(reason.replace("|", " ").split())
    return words if len(words) <= 400 else words[:400] + " …"
