"""`inferq models check`: whether a worker could serve a model, and how."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.cli.output import AsJson, Url, print_json, print_line
from inferq.number_format import format_number

if TYPE_CHECKING:
    from inferq.local.model_source import ModelSource
    from inferq.tensors.signature import ModelDocument, Tensor
    from inferq.worker.checks.check_report import CheckReport

_EXIT_NOT_SERVED = 1


def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A .onnx file, the folder of a model or of one of its versions, or a model repository; "
            "INFERQ_MODELS_DIR if left out.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Load, warm up and try models as a worker would, and say how that goes; nothing is deployed.

    Exit codes: 0 all can be served, 1 one cannot, 2 the command was not understood.
    """
    from inferq.local.model_source import open_model_source
    from inferq.settings import load_settings
    from inferq.worker.checks.check_process import check_repository

    settings = load_settings(**({} if path is None else {"models_dir": path}))
    count, failed = 0, 0
    with open_model_source(settings) as source:
        for report in check_repository(source.repository, settings):
            count += 1
            failed += report.problem is not None
            _print_report(
                _name_files(report, source, settings.models_dir), url or settings.url, as_json=as_json
            )
    if not count:
        print_line(f"inferq: {source.description} has no models. Expected NAME/model.onnx.", err=True)
    if failed or not count:
        raise typer.Exit(_EXIT_NOT_SERVED)


def _name_files(report: "CheckReport", source: "ModelSource", path: Path) -> "CheckReport":
    """Returns a report that names files as the command did, not by the folder made for one model alone."""
    if not report.problem:
        return report
    problem = report.problem
    if source.only_model:
        folder = source.repository / source.only_model
        problem = problem.replace(
            str(folder / "model.onnx"), str(path if path.is_file() else path / "model.onnx")
        )
        problem = problem.replace(str(folder), str(path.parent if path.is_file() else path))
    else:
        problem = problem.replace(f"{source.repository}{os.sep}", "")
    return report.model_copy(update={"problem": problem})


def _print_report(report: "CheckReport", url: str, *, as_json: bool) -> None:
    from inferq.cli.curl_line import write_curl_line

    document = report.document
    curl = write_curl_line(document, report.name, url) if document else None
    if as_json:
        print_json(report.model_dump(mode="json") | {"curl": curl})
    elif document is None or curl is None:
        print_line(f"{report.name}: cannot be served. {report.problem}")
    else:
        print_line(f"{report.name}: can be served, as version {document.version}")
        for label, text in _describe(report, document):
            print_line(f"  {label:9} {text}")
        typer.echo(curl)


def _describe(report: "CheckReport", document: "ModelDocument") -> list[tuple[str, str]]:
    runs = ", ".join(
        f"{_format_time(seconds)} for {rows} row{'s' if rows > 1 else ''}" for rows, seconds in report.runs
    )
    memory = f"{report.peak_bytes / 1e6:.0f} MB at most in the process"
    if report.model_bytes is not None:
        memory = f"{report.model_bytes / 1e6:.0f} MB for the model, {memory}"
    made_by = [
        ("digest", document.digest),
        ("runtime", " on ".join([document.runtime, *document.providers[:1]])),
    ]
    return [
        *(one for one in made_by if one[1]),
        ("inputs", _list_tensors([*document.inputs, *document.optional_inputs])),
        ("outputs", _list_tensors(document.outputs)),
        ("data", ", ".join(_list_forms(document))),
        *_describe_media(document),
        ("jobs", "share runs" if report.shares_runs else f"run one by one: {report.reason}"),
        ("load", f"{_format_time(report.load_seconds)}, with warm-up and the batch probe"),
        ("run", runs or "its sample does not run"),
        ("memory", memory),
        *(("log", _format_note(note)) for note in report.notes),
    ]


def _format_note(note: dict[str, Any]) -> str:
    details = " ".join(f"{key}={value}" for key, value in note.items() if key != "event")
    return f"{note['event']}: {details}"


def _list_tensors(tensors: "list[Tensor]") -> str:
    return ", ".join(map(str, tensors)) or "none"


def _describe_media(document: "ModelDocument") -> list[tuple[str, str]]:
    """Returns what becomes of pictures and sound, where the model takes them."""
    found = []
    if document.image:
        steps = document.image.preprocessing
        size = f"resize {steps.resize} {steps.size or ''}".rstrip() if steps else "decoded by the graph"
        found.append(("pictures", f"for {document.image.input!r}, as {document.image.source} says: {size}"))
    if document.audio:
        rate = document.audio.sampling_rate
        how = f"{rate} samples in a second" if rate else "decoded by the graph"
        found.append(("sound", f"for {document.audio.input!r}, as {document.audio.source} says: {how}"))
    return found


def _list_forms(document: "ModelDocument") -> list[str]:
    """Returns the media types of data that the model takes."""
    kinds = {"image": document.image, "audio": document.audio, "text": None}  # of text only lists of URLs
    return [form for form in document.forms if kinds.get(form.partition("/")[0], True)]


def _format_time(seconds: float) -> str:
    return f"{format_number(seconds, 2)} s" if seconds >= 1 else f"{format_number(seconds * 1e3, 2)} ms"
