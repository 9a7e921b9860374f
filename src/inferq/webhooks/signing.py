"""Messages in the form of the Standard Webhooks specification, signed with its library.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic_core import to_json
from standardwebhooks import Webhook

from inferq.job_json import format_time, write_job_json
from inferq.jobs import Job, Status


class Signer:
    """Signs with every secret, so that a receiver may check with the new one or still the old one.

    Args:
        secrets: The setting `webhook_secret`: `whsec_…` with spaces or commas between.
    """

    def __init__(self, secrets: str) -> None:
        self._keys = [Webhook(secret) for secret in re.split(r"[ ,]+", secrets)]

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """Returns the headers that prove who sent a message and when.

        Args:
            message_id: The same for all attempts to send one message.
            body: JSON in UTF-8.
        """
        now, text = datetime.now(UTC), body.decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(key.sign(message_id, now, text) for key in self._keys),
        }


def make_message_id(job_id: bytes, ended_ms: int) -> str:
    """Returns the id of one end of a job: the same for each attempt, another one if the job is run again."""
    return f"msg_{hashlib.sha256(b'%d:%b' % (ended_ms, job_id)).hexdigest()[:32]}"


def build_message(job: Job) -> bytes:
    """Returns the body that says how a job ended, with the job as `GET /job/{id}` shows it.

    Where the result is too long for it, `result_path` says where to read it.
    """
    about = {"type": f"job.{job.status}", "timestamp": format_time(job.finished_at)}
    if job.status is Status.COMPLETED and job.result is None:
        about["result_path"] = f"/job/{quote(job.id)}"
    head = to_json(about)
    return b'%b,"data":%b}' % (head[:-1], write_job_json(job))
