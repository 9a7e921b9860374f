"""The threads of the blob store."""

import os
import sys

import pytest

from inferq.queue.blob_threads import BlobThreads


def read_niceness():
    return os.getpriority(os.PRIO_PROCESS, 0)  # on Linux that of this thread


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread")
async def test_threads_that_copy_leave_the_processors_to_the_event_loop():
    own = read_niceness()
    for is_yielding in (False, True):
        threads = BlobThreads(1, is_yielding=is_yielding)
        try:
            assert await threads.call(read_niceness) == min(own + 10 * is_yielding, 19)
        finally:
            threads.close()
    assert read_niceness() == own
