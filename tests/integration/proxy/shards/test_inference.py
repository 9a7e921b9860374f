"""The Open Inference Protocol on two shards, of which a job's is known once it is stored."""

import asyncio

import numpy as np

from inferq.jobs import Outcome
from inferq.queue.schema.shard_ids import find_shard
from tests.integration.proxy.answers import beat
from tests.integration.proxy.routes.test_job_result import make_result
from tests.servers import wait_until

ROW = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
RESULT = make_result(label=np.zeros(1, "i8"))


async def infer(client, consumer, **headers):
    request = asyncio.create_task(client.post("/v2/models/iris/infer", json=ROW, headers=headers))
    jobs = await asyncio.to_thread(wait_until, lambda: consumer.claim(1))
    consumer.finish([Outcome(job, result=RESULT) for job in jobs])
    return await request, jobs[0].id


async def test_outputs_are_those_of_the_job_whichever_shard_has_it(client, announced, consumer):
    beat(consumer, announced)
    shards = set()
    while shards != {0, 1}:
        for headers in ({}, {"Prefer": "respond-async, wait=60"}):
            answer, job_id = await infer(client, consumer, **headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["inferq-job-id"] == job_id
            assert answer.json()["outputs"][0]["data"] == [0]
            shards.add(find_shard(job_id, 2) or 0)
