"""A receiver of traces for the tests: a real HTTP server on loopback that reads OTLP."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.servers import wait_until


class ReceivedSpan:
    """A span as it came.

    Attributes:
        span: All of it.
        service: Name of the process that it came from.
    """

    def __init__(self, span: Span, service: str) -> None:
        self.span = span
        self.service = service
        self.name = span.name
        self.kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
        self.attributes = read_attributes(span.attributes)
        self.traceparent = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        self.parent_id = span.parent_span_id.hex()
        self.links = {
            (
                one.trace_id.hex(),
                one.span_id.hex(),
                read_attributes(one.attributes)["messaging.message.id"],
            )
            for one in span.links
        }
        self.seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        self.has_failed = span.status.code == 2

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]

    @property
    def span_id(self) -> str:
        return self.traceparent.split("-")[2]


def read_attributes(attributes) -> dict[str, str | int]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class OtlpReceiver:
    """Takes spans while it is open, and keeps them in the order in which they came."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                for group in request.resource_spans:
                    service = read_attributes(group.resource.attributes)["service.name"]
                    for scope in group.scope_spans:
                        receiver.spans += [ReceivedSpan(span, str(service)) for span in scope.spans]
                body = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def wait_for(self, count: int) -> list[ReceivedSpan]:
        """Waits until so many spans have come, and returns them."""
        wait_until(lambda: len(self.spans) >= count, what=f"{count} spans")
        return self.spans

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
