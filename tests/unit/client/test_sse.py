import pytest

from inferq.client.sse import EventReader

STREAM = (
    b': heartbeat\n\nid: 1\r\nevent: status\r\ndata: {"result":\r\ndata:  "a\xe2\x80\xa8b"}\r\n\r\n'
    b"event: end\rdata: {}\r\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_taken_apart_however_the_stream_is_cut(size):
    reader = EventReader()
    parts = [STREAM[first : first + size] for first in range(0, len(STREAM), size)]
    events = [event for part in parts for event in reader.feed(part)]
    assert [(event.id, event.is_last) for event in events] == [("1", False), ("", True)]
    assert events[0].view == {"result": "a\u2028b"}
