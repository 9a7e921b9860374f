"""What is held of a body while it arrives."""

import re
from pathlib import Path

from fastapi import Request

from inferq.proxy.http.bodies.body_budget import BodyBudget
from inferq.proxy.http.bodies.incoming_body import IncomingBody
from inferq.settings import Settings

MIB = 1024 * 1024


def read_resident_bytes():
    [size] = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(size) * 1024


async def test_long_body_that_does_not_come_takes_no_memory():
    request = Request({"type": "http", "headers": []})
    budget = BodyBudget(2048 * MIB)
    before = read_resident_bytes()
    body = IncomingBody(request, budget.open_share(), Settings(max_body_bytes=1024 * MIB), 512 * MIB)
    body.add(bytes(MIB))
    assert len(body.get_room()) == 511 * MIB
    assert read_resident_bytes() - before < 50 * MIB
    assert budget.taken == MIB
