"""A job as a client holds it: what the service last said of it, and how it looks in a notebook."""

from datetime import datetime
from html import escape
from typing import Any

from inferq.client.answers import View, has_ended
from inferq.terminal import make_printable

_COLOURS = {"pending": "#b58900", "processing": "#3a86d1", "completed": "#2e9e4f", "failed": "#d9534f"}
"""Readable on light and on dark."""

_LEFT = "style='text-align:left'"


class BaseJob:
    """What the service last said of a job. `refresh` reads it again.

    Attributes:
        id: The job's id.
        view: The job as `GET /job/{id}` shows it; empty before it was read.
    """

    def __init__(self, job_id: str, view: View | None = None) -> None:
        self.id = job_id
        self.view: View = view or {}

    @property
    def status(self) -> str:
        """`pending`, `processing`, `completed` or `failed`, as last read; `pending` before that."""
        return str(self.view.get("status", "pending"))

    @property
    def has_ended(self) -> bool:
        """Whether it has completed or failed, as last read."""
        return bool(self.view) and has_ended(self.view)

    @property
    def error(self) -> str | None:
        """What went wrong, once it has failed."""
        return self.view.get("error")

    @property
    def model(self) -> str | None:
        """Name of its model."""
        return self.view.get("model")

    @property
    def model_version(self) -> str | None:
        """Version of the model that its latest attempt ran with; None before, or from an older service."""
        return self.view.get("model_version")

    @property
    def made_by(self) -> dict[str, str | None] | None:
        """What its latest attempt ran with: `version`, `digest`, `runtime`, `provider`; None likewise."""
        return self.view.get("made_by")

    @property
    def request_id(self) -> str | None:
        """Id of the request that submitted it, as the logs of the service have it."""
        return self.view.get("request_id")

    @property
    def attempts(self) -> int:
        """How often it has been handed to a worker."""
        return int(self.view.get("attempts", 0))

    @property
    def progress(self) -> float | None:
        """Which share of its rows is done, 0 to 1, of a large job that runs in parts; None for any other."""
        found = self.view.get("progress")
        return found["done"] / max(1, found["rows"]) if found else None

    @property
    def queue_position(self) -> int | None:
        """1 for the next job to be taken; None unless it waits."""
        return self.view.get("queue_position")

    @property
    def expected_start_at(self) -> datetime | None:
        """When it will probably be taken, UTC; None unless it waits, and where that cannot be told."""
        return _read_time(self.view.get("expected_start_at"))

    @property
    def expected_end_at(self) -> datetime | None:
        """When it will probably have ended, UTC; None once it has, and where that cannot be told."""
        return _read_time(self.view.get("expected_end_at"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {make_printable(self.id)} {make_printable(self.status)}>"

    def _repr_html_(self) -> str:
        """The job as a small table, readable on light and on dark."""
        colour = _COLOURS.get(self.status, "inherit")
        rows: list[tuple[str, Any]] = [
            ("model", self.model),
            ("model_version", self.model_version),
            ("attempts", self.attempts),
        ]
        times = ("submitted_at", "finished_at", "queue_position", "expected_start_at", "expected_end_at")
        rows += [(name, self.view.get(name)) for name in times]
        rows += [("error", self.error), ("result", _shorten(self.view.get("result")))]
        cells = "".join(
            f"<tr><th {_LEFT}>{name}</th><td {_LEFT}>{escape(str(value))}</td></tr>"
            for name, value in rows
            if value is not None
        )
        return (
            f"<table style='color:inherit'><caption {_LEFT}>job <code>{escape(self.id)}</code> "
            f"<b style='color:{colour}'>{escape(self.status)}</b></caption>{cells}</table>"
        )


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _shorten(value: Any) -> str | None:  # noqa: ANN401 - as the model gives it
    text = None if value is None else str(value)
    return text if text is None or len(text) <= 400 else f"{text[:399]}…"
