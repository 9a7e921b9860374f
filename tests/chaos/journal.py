"""What the client knows: every job that was accepted, and what must become of it."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from inferq.errors import ErrorKind
from inferq.jobs import Status

ROLL_BACK_SECONDS = 4.0
"""A killed server may have lost what it wrote in so many last seconds: with appendfsync everysec it holds
writes back for up to 2 s while an fsync is under way."""


class Origin(StrEnum):
    """How a job came in."""

    HTTP = "http"
    FOREIGN = "foreign"


@dataclass(slots=True)
class Entry:
    """One job.

    Attributes:
        id: The ticket.
        origin: How it came in.
        expected: The result, byte for byte; None if the job must fail.
        kind: How it must fail; None if it must complete.
        shard: In which shard it is.
        accepted_at: When its producer was told so, in monotonic time.
        is_accepted: Whether its producer was told so; if not, it may be absent.
        seen: The final state it was first seen in.
        seen_at: When, in monotonic time.
        cancelled_at: When its cancellation was answered.
        cancel_unanswered: Whether it may have been cancelled.
    """

    id: str
    origin: Origin
    expected: bytes | None
    kind: ErrorKind | None = None
    shard: int = 0
    accepted_at: float = field(default_factory=time.monotonic)
    is_accepted: bool = True
    seen: Status | None = None
    seen_at: float = 0.0
    cancelled_at: float | None = None
    cancel_unanswered: bool = False


@dataclass
class Journal:
    """All jobs of a run, and what was found to be wrong.

    Attributes:
        path: File that each job is appended to when it is accepted, for a look afterwards.
        entries: By id.
        open: Ids of accepted jobs not yet seen in a final state.
        server_kills: Monotonic times.
        violations: Sentences; a run without fault has none.
        rolled_back: Final states that a killed server had not kept.
        unreplicated_seconds: What a primary accepted within this time before it was killed, its replica need
            not have received.
        unreplicated: Jobs that were lost with a primary, as may be.
    """

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    server_kills: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    rolled_back: int = 0
    unreplicated_seconds: float = 0.0
    unreplicated: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Notes a job."""
        self.entries[entry.id] = entry
        if entry.is_accepted:
            self.open.add(entry.id)
        self._file.write(f"{entry.id} {entry.origin} {entry.kind or 'completed'} {entry.is_accepted}\n")
        self._file.flush()

    def violate(self, sentence: str) -> None:
        """Notes that a promise was broken."""
        self.violations.append(sentence)

    def may_be_lost(self, written_at: float) -> bool:
        """Whether a server was killed so soon after something was written that it may not have kept it."""
        return any(written_at - 1.0 <= kill <= written_at + ROLL_BACK_SECONDS for kill in self.server_kills)

    def may_be_unreplicated(self, entry: Entry) -> bool:
        """Whether a primary was killed so soon after it accepted a job that it may have taken it along."""
        latest = entry.accepted_at + self.unreplicated_seconds
        return self.unreplicated_seconds > 0 and any(
            entry.accepted_at - self.unreplicated_seconds <= kill <= latest for kill in self.server_kills
        )

    def see(self, entry: Entry, status: Status | None, now: float) -> None:
        """Notes a state that a job was seen in; a final one must stay."""
        if entry.seen is None:
            if status is None and self.may_be_unreplicated(entry):
                self.unreplicated.add(entry.id)
                self.open.discard(entry.id)
            if status is not None and status.is_final:
                entry.seen, entry.seen_at = status, now
                self.open.discard(entry.id)
            return
        if status is entry.seen:
            return
        if not self.may_be_lost(entry.seen_at):
            self.violate(f"job {entry.id} was {entry.seen} and is now {status}")
            return
        self.rolled_back += 1
        entry.seen = None
        self.open.add(entry.id)
        self.see(entry, status, now)
