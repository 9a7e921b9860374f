"""Plays the service: gives steps their answers."""

import httpx

from inferq.client.steps import Pause


def drive(steps, *answers):
    """Drives a generator with answers; returns its result and what it asked for."""
    asked, answers = [], list(answers)
    answer = None
    try:
        while True:
            step = steps.send(answer)
            asked.append(step)
            answer = None if isinstance(step, Pause) else answers.pop(0)
    except StopIteration as end:
        return end.value, asked


def problem(status, kind, **headers):
    document = {"type": f"urn:inferq:problem:{kind}", "detail": "No.", "status": status}
    return httpx.Response(status, json=document, headers=headers)
