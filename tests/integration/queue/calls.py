"""Ways to call the queue: beside the test, and until the server is there."""

import asyncio
import threading

from inferq.errors import RedisUnavailableError


def in_thread(call):
    """Runs it in a thread; what is returned waits for its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()

    def answer():
        thread.join()
        return answers[0]

    return answer


async def eventually(call):
    """Repeats a call as its callers do, until Redis is available."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except RedisUnavailableError:
                await asyncio.sleep(0.05)
