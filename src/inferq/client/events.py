"""Server-Sent Events, taken apart as the HTML standard says (section 9.2)."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator

from inferq.client.core import View


class Event:
    """One event of a job's stream."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.id = fields.get("id", "")
        self.is_last = fields.get("event") == "end"
        self.view: View = json.loads(fields["data"])


def events_of(lines: Iterable[str]) -> Iterator[Event]:
    """Takes a stream of Server-Sent Events apart; comments are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields)
            fields = {}


async def events_of_async(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """The same for lines that have to be waited for."""
    block: list[str] = []
    async for line in lines:
        block.append(line)
        if not line:
            for event in events_of(block):
                yield event
            block = []
