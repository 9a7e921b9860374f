"""Names of models, of their versions, and of the queues that workers keep beside those of users.

    iris            the model: jobs run on the version that serves
    iris@2          one version of it; its jobs wait in a queue of their own
    iris@3~shadow   jobs that workers made for themselves, here to compare version 3 with the one that serves
    iris@3~chunks-0f3c5a9e7b21
                    parts of large jobs, for workers that have version 3 from the files of this digest

Wherever a job names its model, the first two may stand.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple, Self, get_args

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What the name of a model, a version, or an API key may be, as a regular expression."""
MODEL_NAME_PATTERN = f"^{NAME}$"

VERSION_MARK = "@"
"""Stands between the name of a model and that of a version."""

_NAMES = 4096
"""So many are kept: workers ask for the same ones with each claim."""

type Purpose = Literal["", "shadow", "chunks"]

_QUEUE_NAME = re.compile(
    f"(?P<model>{NAME})(@(?P<version>{NAME}))?(~(?P<purpose>{'|'.join(get_args(Purpose.__value__)[1:])})(-(?P<digest>[0-9a-f]{{12}}))?)?"
)


def order_version(version: str) -> tuple[list[str | int], str]:
    """Returns a key that sorts versions by nature: numbers in them as numbers, the newest last."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", version)], version


class QueueName(NamedTuple):
    """The name of a queue, as the keys in Redis and `model` of a job have it.

    Attributes:
        model: Name of the model.
        version: Name of the version that its jobs ask for; empty: the one that serves.
        purpose: What workers use it for; empty: its jobs are users'.
        digest: First 12 hex digits of that of the version's files, where others may not run its jobs.
    """

    model: str
    version: str = ""
    purpose: Purpose = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Reads a name; None where it is none."""
        match = _QUEUE_NAME.fullmatch(text)
        return cls(**match.groupdict(default="")) if match else None  # type: ignore[arg-type] # of the pattern

    @property
    def base(self) -> str:
        """The name without its purpose: what a user may write."""
        return str(self._replace(purpose="", digest=""))

    def __str__(self) -> str:
        version = f"{VERSION_MARK}{self.version}" if self.version else ""
        digest = f"-{self.digest}" if self.digest else ""
        return f"{self.model}{version}" + (f"~{self.purpose}{digest}" if self.purpose else "")


@lru_cache(maxsize=_NAMES)
def get_model_name(queue: str) -> str:
    """Returns the name of the model that the jobs of a queue are for; of what is no such name, all of it."""
    name = QueueName.parse(queue)
    return name.model if name else queue


@lru_cache(maxsize=_NAMES)
def is_shadow(queue_name: str) -> bool:
    """Whether the jobs of a queue are shadow jobs."""
    parsed = QueueName.parse(queue_name)
    return parsed is not None and parsed.purpose == "shadow"


@lru_cache(maxsize=_NAMES)
def is_of_workers(queue_name: str) -> bool:
    """Whether the jobs of a queue are workers' own, as shadow jobs and chunks are."""
    parsed = QueueName.parse(queue_name)
    return parsed is not None and parsed.purpose != ""
