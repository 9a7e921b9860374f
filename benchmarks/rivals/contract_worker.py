"""What the seed's contract costs by itself: its keys and its list in batches, without any guarantee.

Jobs that this worker has taken are lost when it ends, and it looks at nothing but what it needs: a bound for
every worker that keeps the contract, and beside inferq's figure the price of what inferq promises.
Run: python -m with this name.
"""

import os
from typing import Any

import numpy as np
import orjson
import redis

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals import iris, seed_worker

_BATCH = 128
_STEP = """
local call, gone = redis.call, {}
for i = 4, #ARGV, 2 do
  local base = 'job:' .. ARGV[i] .. ':'
  call('PSETEX', base .. 'result', ARGV[3], ARGV[i + 1])
  call('PSETEX', base .. 'status', ARGV[3], 'completed')
  gone[#gone + 1] = base .. 'data'
end
if #gone > 0 then call('UNLINK', unpack(gone)) end
local ids, keys = call('RPOP', ARGV[1], ARGV[2]) or {}, {}
for i, id in ipairs(ids) do
  keys[i] = 'job:' .. id .. ':data'
  call('SET', 'job:' .. id .. ':status', 'processing', 'KEEPTTL')
end
return {ids, #ids > 0 and call('MGET', unpack(keys)) or {}}
"""
"""Writes the results of the last batch and takes the next."""

enqueue = seed_worker.enqueue


def main() -> None:
    """Serves for ever."""
    client = redis.Redis.from_url(os.environ[URL_VARIABLE])
    digest = client.script_load(_STEP)
    ended: list[bytes] = []
    while True:
        step: Any = client.evalsha(
            digest, 0, seed_worker.QUEUE, _BATCH, 1000 * seed_worker.TTL_SECONDS, *ended
        )
        ids, several = step
        ended = [part for pair in zip(ids, _results(several), strict=True) for part in pair]
        if not ids and (popped := client.brpop([seed_worker.QUEUE], timeout=1)):
            client.rpush(*popped)


def _results(several: list[bytes]) -> list[bytes]:
    if not several:
        return []
    rows = np.array([orjson.loads(data)[0] for data in several], np.float32)
    return [orjson.dumps(result) for result in iris.results(iris.run(rows))]


if __name__ == "__main__":
    main()
