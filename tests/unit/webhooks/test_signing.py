import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from inferq.errors import InvalidSettingError
from inferq.jobs import Job, Status
from inferq.settings import Settings, load_settings
from inferq.webhooks.signing import Signer, build_message, make_message_id

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 24).decode() for number in range(3)]


def test_message_is_verified_with_each_secret_and_no_other():
    body = build_message(Job("x", Status.COMPLETED, result=b'{"label":"\xe3\x82\xb8"}'))
    headers = Signer(", ".join(SECRETS[:2])).sign("msg_1", body)
    for secret in SECRETS[:2]:
        assert Webhook(secret).verify(body, headers)["data"]["result"] == {"label": "ジ"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[2]).verify(body, headers)


def test_message_says_what_ended_when_and_how():
    ended = datetime(2026, 1, 31, 12, 0, 0, 4000, UTC)
    message = json.loads(build_message(Job("x", Status.FAILED, error="No.", finished_at=ended)))
    assert (message["type"], message["timestamp"]) == ("job.failed", "2026-01-31T12:00:00.004Z")
    assert (message["data"]["job_id"], message["data"]["error"]) == ("x", "No.")


def test_message_without_its_result_tells_where_to_read_it():
    assert json.loads(build_message(Job("a/ä", Status.COMPLETED)))["result_path"] == "/job/a/%C3%A4"
    assert "result_path" not in json.loads(build_message(Job("x", Status.COMPLETED, result=b"null")))
    assert "result_path" not in json.loads(build_message(Job("x", Status.FAILED, error="No.")))


def test_each_end_of_a_job_has_a_name_of_its_own_that_any_header_can_hold():
    ids = {make_message_id(job_id, ended) for job_id in (b"a", b"b", b"\xff\r\n") for ended in (1, 2)}
    assert len(ids) == 6
    assert all(one.isascii() and one.isprintable() and "." not in one for one in ids)


@pytest.mark.parametrize("secret", ["hidden", "whsec_c2hvcnQ=", "whsec_!" + "A" * 40, SECRETS[0] + "A"])
def test_secret_that_cannot_be_used_is_refused_and_not_shown(secret):
    with pytest.raises(InvalidSettingError, match="INFERQ_WEBHOOK_SECRET is not valid") as refusal:
        load_settings(webhook_secret=secret)
    assert secret.removeprefix("whsec_") not in refusal.value.message
    assert SECRETS[0] not in repr(Settings(webhook_secret=" , ".join(SECRETS)))
