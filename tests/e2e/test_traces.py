"""A trace leads from a client's request through proxy and worker to the receiver of the webhook."""

import httpx

from tests.e2e.processes import wait_until_healthy
from tests.receivers import SECRET, Receiver
from tests.servers import free_port, wait_until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_one_trace_has_the_request_the_run_and_the_webhook(start, otlp_receiver, tmp_path):
    webhooks, port = Receiver(), free_port()
    url = f"http://127.0.0.1:{port}"
    start(
        *("inferq", "up", "--port", port, "--data-dir", tmp_path),
        webhook_secret=SECRET,
        webhook_private_addresses="true",
    )
    try:
        wait_until_healthy(url)
        answer = httpx.post(
            f"{url}/predict",
            json={"data": [[5.1, 3.5, 1.4, 0.2]], "webhook": webhooks.url},
            headers={"traceparent": f"00-{TRACE}-{SPAN}-01"},
            timeout=60,
        )
        job_id = answer.json()["job_id"]
        spans = {span.name: span for span in otlp_receiver.wait_for(2)}
        wait_until(lambda: webhooks.calls, what="the webhook")
    finally:
        webhooks.close()
    send, process = spans["send iris"], spans["process iris"]
    assert (send.service, process.service) == ("inferq-proxy", "inferq-worker")
    assert {send.attributes["messaging.message.id"], process.attributes["messaging.message.id"]} == {job_id}
    assert (send.trace_id, send.parent_id) == (TRACE, SPAN)
    assert (process.trace_id, process.parent_id) == (TRACE, send.span_id)
    assert process.links == {(TRACE, send.span_id, job_id)}
    headers = {name.lower(): value for name, value in webhooks.calls[0].headers.items()}
    assert headers["traceparent"].split("-")[1:3] == [TRACE, send.span_id]
