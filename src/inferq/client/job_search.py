"""Which jobs a client means, and the requests about all of them."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import httpx

from inferq.client.answers import View, warn_if_partial
from inferq.client.encoding import write_json
from inferq.client.steps import Call, Steps, ask
from inferq.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class JobSearch:
    """What jobs must have to be meant; see `Client.jobs`."""

    status: str | None = None
    model: str | None = None
    owner: str | None = None
    error_kind: str | None = None
    error: str | None = None
    id_prefix: str | None = None
    since: datetime | str | None = None
    until: datetime | str | None = None

    def list_members(self) -> dict[str, str]:
        """Returns what is given, by the names that the service has for it.

        Raises:
            InvalidInputError: A time lacks its zone.
        """
        members = {name: value for name, value in asdict(self).items() if value is not None}
        for name in ("since", "until"):
            moment = members.get(name)
            if isinstance(moment, datetime):
                if moment.tzinfo is None:
                    raise InvalidInputError(
                        f"{name} needs a time zone, got {moment!r}. An example: datetime.now(UTC)."
                    )
                members[name] = moment.isoformat()
        return members


def read_page(search: JobSearch, limit: int, cursor: str | None, retries: int) -> Steps[View]:
    """Reads one page of jobs."""
    wanted = search.list_members() | {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    page: View = yield from ask(Call("GET", f"/jobs?{httpx.QueryParams(wanted)}"), retries)
    warn_if_partial(page)
    return page


def read_errors(search: JobSearch, retries: int) -> Steps[View]:
    """Reads failed jobs, grouped by their error."""
    query = httpx.QueryParams(search.list_members())
    groups: View = yield from ask(Call("GET", f"/jobs/errors?{query}"), retries)
    return groups


def change_jobs(action: str, search: JobSearch, retries: int, *, is_dry_run: bool) -> Steps[View]:
    """Changes all jobs that are meant, call by call, and returns the sum of what was answered.

    A call is made again where no answer came, unless jobs could be tried again twice by that.
    """
    total: dict[str, Any] = {"matched": 0, "changed": 0, "skipped": 0, "skipped_by_kind": {}}
    missing: set[int] = set()
    cursor: str | None = None
    while True:
        members = {"action": action, "filter": search.list_members(), "dry_run": is_dry_run, "cursor": cursor}
        is_safe = is_dry_run or action != "retry"
        done = yield from ask(Call("POST", "/jobs/actions", write_json(members), is_safe=is_safe), retries)
        for name in ("matched", "changed", "skipped"):
            total[name] += done[name]
        for kind, count in done["skipped_by_kind"].items():
            total["skipped_by_kind"][kind] = total["skipped_by_kind"].get(kind, 0) + count
        missing.update(done.get("unavailable_shards", ()))
        cursor = done["cursor"]
        if cursor is None:
            return total | ({"unavailable_shards": sorted(missing)} if missing else {})
