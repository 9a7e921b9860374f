"""What `inferq up` prints when the service is ready: where everything is, and what to try."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from http.client import HTTPException

from inferq.local.object_server import BUCKET, KEY
from inferq.local.readiness import get
from inferq.local.screen import screen
from inferq.local.service_plan import ServicePlan


async def print_greeting(plan: ServicePlan, left_out: Mapping[str, str], seconds: float) -> None:
    """Prints where everything is, and commands to try.

    Args:
        plan: The service.
        left_out: The models that cannot be served: name to reason.
        seconds: How long the start took.
    """
    _print_addresses(plan)
    for name, reason in left_out.items():
        screen.print_line(f"Left out {name}: {reason}")
    screen.print_line(f"Ready in {seconds:.1f} s. Try:")
    if plan.settings.api_keys:
        screen.print_line(f"  curl -H 'Authorization: Bearer KEY' {plan.proxy_url}/models")
        return
    example = None
    try:
        example = json.loads(await asyncio.to_thread(get, f"{plan.proxy_url}/metadata"))["example"]
    except (OSError, HTTPException):
        name = plan.settings.default_model
        screen.print_line(f"  (requests must name a model: the default, {name!r}, is not among those served)")
    if example is None:
        screen.print_line(f"  curl {plan.proxy_url}/models")
        return
    body = shlex.quote(json.dumps({"data": example}))
    header = "-H 'Content-Type: application/json'"
    screen.print_line(f"  curl -X POST {plan.proxy_url}/predict {header} -d {body}")
    screen.print_line(f"  curl {plan.proxy_url}/job/JOB_ID")


def _print_addresses(plan: ServicePlan) -> None:
    from inferq.queue import mask_url

    addresses = {
        "Proxy": plan.proxy_url,
        **({} if plan.settings.ui == "off" else {"Page": f"{plan.proxy_url}/ui"}),
        "API": f"{plan.proxy_url}/docs",
        "Redis": mask_url(plan.settings.redis_url),
    }
    if plan.data_directory:
        addresses["Data"] = str(plan.settings.data_dir.resolve())
    if plan.object_ports:
        addresses["Blobs"] = f"{plan.object_url} (S3, bucket {BUCKET}, key and secret {KEY})"
    addresses |= {"Models": plan.models.description, "Workers": str(plan.workers)}
    for name, address in addresses.items():
        screen.print_line(f"{name:<8} {address}")
