"""Of which models jobs are listed, grouped or changed."""

from fastapi import Request

from inferq.proxy.http.job_query import JobQuery
from inferq.proxy.services.dependencies import get_services


async def find_listed_models(request: Request, query: JobQuery) -> set[str]:
    """Returns the model that a query names; else the announced ones, and those of which jobs are kept.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    if query.model is not None:
        return {query.model}
    services = get_services(request)
    return {
        *await services.catalog.read_announced(),
        *await services.producer.read_models_with_jobs(),
    }
