"""Messages as the Standard Webhooks specification says, signed with its library.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic_core import to_json
from standardwebhooks import Webhook

from inferq.job_json import job_json, rfc3339
from inferq.jobs import Job, Status


class Signer:
    """Signs with every secret, so that a receiver may know the new one or still the old.

    Args:
        secrets: The setting `webhook_secret`: `whsec_…` with spaces or commas between.
    """

    def __init__(self, secrets: str) -> None:
        self._keys = [Webhook(secret) for secret in re.split(r"[ ,]+", secrets)]

    def headers(self, message_id: str, body: bytes) -> dict[str, str]:
        """The headers that prove whose message it is, and that it is sent now.

        Args:
            message_id: The same for all tries of one message.
            body: JSON in UTF-8.
        """
        now, text = datetime.now(UTC), body.decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(key.sign(message_id, now, text) for key in self._keys),
        }


def message_id(job_id: bytes, ended_ms: int) -> str:
    """Names one end of a job: the same each time it is sent, another one if the job is run again."""
    return f"msg_{hashlib.sha256(b'%d:%b' % (ended_ms, job_id)).hexdigest()[:32]}"


def message(job: Job) -> bytes:
    """The body that tells of a job's end, with the job as `GET /job/{id}` shows it.

    Where the result is too long for it, `result_path` tells where to read that.
    """
    about = {"type": f"job.{job.status}", "timestamp": rfc3339(job.finished_at)}
    if job.status is Status.COMPLETED and job.result is None:
        about["result_path"] = f"/job/{quote(job.id)}"
    head = to_json(about)
    return b'%b,"data":%b}' % (head[:-1], job_json(job))
