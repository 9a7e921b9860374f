"""Of which models jobs are listed, grouped or changed."""

from itertools import filterfalse

from fastapi import Request

from inferq.model_names import is_of_workers
from inferq.proxy.http.job_query import JobQuery
from inferq.proxy.services.dependencies import get_services


async def find_listed_models(request: Request, query: JobQuery) -> set[str]:
    """Returns the model that a query names; else the announced ones, and those of which jobs are kept.

    Jobs that workers made for themselves are listed only where their queue is named.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    if query.model is not None:
        return {query.model}
    services = get_services(request)
    kept = await services.producer.read_models_with_jobs()
    return {*await services.catalog.read_announced(), *filterfalse(is_of_workers, kept)}
