"""What was found of versions that run beside the one that serves."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, UnknownModelError
from inferq.proxy.http.openapi import add_not_found, document_answers
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.shadow_schemas import ShadowView
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.models.shadow_view import describe_candidate

router = APIRouter(tags=["models"])


@router.get(
    "/models/{name}/shadow",
    responses=add_not_found(
        document_answers(
            "/models/iris/shadow",
            ShadowView,
            "What was found of each candidate.",
            ErrorKind.NO_WORKER,
            ErrorKind.MODEL_UNAVAILABLE,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        ErrorKind.UNKNOWN_MODEL,
        "/models/irsi/shadow",
    ),
)
async def model_shadow(request: Request, name: str) -> Response:
    """Tells how far versions that run beside the one that serves agree with it, and how fast they are."""
    services = get_services(request)
    document = (await services.catalog.find(name)).document
    if document.name != name:
        raise UnknownModelError(f"{name[:80]!r} is a version. Name the model, {document.name!r}.")
    reports = await services.producer.read_shadows(name, document.versions)
    owner = get_owner(request)
    readable = {job.job_id for report in reports for job in report.differing}
    if owner is not None and readable:
        found = await services.producer.read_many(sorted(readable))
        readable = {job.id for job in found if job is not None and job.is_readable_by(owner)}
    shares = document.rollout.shadow if document.rollout else {}
    candidates = [describe_candidate(report, shares.get(report.version, 0.0), readable) for report in reports]
    body: dict[str, object] = {"model": name, "candidates": candidates}
    return JsonResponse(to_json(add_unavailable(body, services.producer.away_shards)))
