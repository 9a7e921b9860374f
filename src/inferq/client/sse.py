"""Server-Sent Events, parsed as the HTML standard says (section 9.2)."""

import json
import re
from collections.abc import Iterator

from inferq.client.answers import View

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A return at the end of a part may be half of a line's end."""


class Event:
    """One event of a job's stream.

    Attributes:
        id: Sent as `Last-Event-ID`, it resumes the stream behind this event.
        is_last: Whether the job has ended.
        view: The job.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        self.id = fields.get("id", "")
        self.is_last = fields.get("event") == "end"
        self.view: View = json.loads(fields["data"])


class EventReader:
    """Parses a stream that comes in parts, which may be cut anywhere. Comments are ignored."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, part: bytes) -> Iterator[Event]:
        """Takes the next part, and yields the events that are complete with it."""
        *lines, self._rest = _LINE_END.split(self._rest + part)
        for line in lines:
            if line:
                self._note(line.decode("utf-8", "replace"))
            elif "data" in self._fields:
                event = Event(self._fields)
                self._fields = {}
                yield event

    def _note(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and name in self._fields:
            value = f"{self._fields[name]}\n{value}"
        self._fields[name] = value
