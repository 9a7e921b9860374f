"""Everything restarted one after the other under load: no job lost, no request failed."""

import asyncio
import signal
import socket

import httpx

from tests.e2e.processes import DATA, call, wait_for_job, wait_until_healthy
from tests.servers import free_port, wait_until


class Client:
    """Users who go to the other proxy where one refuses the connection, each request on one of its own."""

    def __init__(self, urls):
        self.urls = urls
        self.accepted, self.failures = [], []
        self.stopping = False

    async def use(self, number):
        while not self.stopping:
            await self.request(self.urls[number % 2 :] + self.urls[: number % 2])
            number += 1

    async def goes_on(self):
        """Waits until more jobs have been accepted, or something has failed."""
        enough = len(self.accepted) + 5
        await asyncio.to_thread(
            wait_until, lambda: self.failures or len(self.accepted) >= enough, 60, "jobs being accepted"
        )

    async def request(self, urls):
        for url in urls:
            try:
                async with httpx.AsyncClient(timeout=60) as http:
                    answer = await http.post(f"{url}/predict", json=DATA)
            except httpx.ConnectError:
                continue
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                return
            if answer.status_code == 202:
                self.accepted.append(answer.json()["job_id"])
            else:
                self.failures.append(answer.text)
            return
        self.failures.append("no proxy listened")


async def test_rolling_restart_of_everything_loses_no_job_and_fails_no_request(start, outside_server):
    settings = {"redis_url": outside_server.url, "simulated_run_seconds": 0.02}
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    proxies = [start("inferq", "proxy", "--port", port, **settings) for port in ports]
    workers = [start("inferq", "worker", **settings) for _ in range(2)]
    for url in urls:
        await asyncio.to_thread(wait_until_healthy, url)
    client = Client(urls)
    users = [asyncio.create_task(client.use(number)) for number in range(3)]

    for number, port in enumerate(ports):
        assert await asyncio.to_thread(proxies[number].stop) == 0
        proxies[number] = start("inferq", "proxy", "--port", port, **settings)
        await asyncio.to_thread(wait_until_healthy, urls[number])
        await client.goes_on()
    for number in range(2):
        assert await asyncio.to_thread(workers[number].stop) == 0
        workers[number] = start("inferq", "worker", **settings)
        await asyncio.to_thread(wait_until, lambda n=number: "worker_ready" in workers[n].output, 60)
        await client.goes_on()
    client.stopping = True
    await asyncio.gather(*users)

    assert client.failures == []
    assert len(client.accepted) >= 20
    views = [await asyncio.to_thread(wait_for_job, urls[0], job_id, 60) for job_id in client.accepted]
    assert {view["status"] for view in views} == {"completed"}
    assert {view["attempts"] for view in views} == {1}
    for program in (*proxies, *workers):
        assert "Traceback" not in program.output


async def test_proxy_told_to_stop_finishes_its_requests_first(start, outside_server):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    proxy = start("inferq", "proxy", "--port", port, redis_url=outside_server.url)
    await asyncio.to_thread(wait_until, lambda: "proxy_listening" in proxy.output, 60)
    body = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # so the request is under way
        proxy.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(wait_until, lambda: call("GET", f"{url}/health/live")[0] == 0, 60, "its stop")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert await asyncio.to_thread(proxy.wait) == 0
