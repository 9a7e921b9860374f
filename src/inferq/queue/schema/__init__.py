"""The data model: names of keys, the layout of a record, and what is read from them.

All keys, with `{prefix}` before each:

| key | type | holds |
| --- | --- | --- |
| `job:{id}:data` | string | the payload, or a reference to a blob (`tensors/envelope.py`) |
| `job:{id}:status` | string | `pending`, `processing`, `completed` or `failed`; mirrors `state` |
| `job:{id}:result` | string | the result, or a reference to a blob, once completed |
| `job:{id}:error` | string | what went wrong, for a person, once failed |
| `job:{id}:staged` | string | the record of a job of a batch that is not yet accepted |
| `job:{id}:missing` | string | when the scan first found a job from outside in no list, ms |
| `job:{id}:deleted` | string | there if the id may still be in a list, though the job was deleted |
| `job:{id}:progress` | string | of a large job: rows done, all rows, chunks left, their work in ms |
| `job:{id}:result:{token}` | string | a large result being sent |
| `job:{id}:primary` | string | of a shadow job: which job its result is compared with, as JSON |
| `job:{id}:compared` | string | there once the comparison of a shadow job is counted |
| `jobs:records` | hash | job id to its record, on which alone scripts decide, see `record`; and `|bytes` |
| `jobs:split`, `jobs:split:step` | hash, string | large jobs, each to how it is divided; held for a step |
| `jobs:queues` | set | models of which jobs are kept |
| `queue:{model}`, `…:high`, `…:low` | list | job ids, LPUSH in, popped at the right |
| `queue:{model}:open:{priority}` | sorted set | jobs not yet ended, by sequence number |
| `queue:{model}:leases` | sorted set | tokens of claims whose jobs run, by the lease's deadline in ms |
| `queue:{model}:retries` | sorted set | jobs waiting for a retry, by due time in ms |
| `queue:{model}:deadlines` | sorted set | open jobs with `expires_in`, by when they must have started in ms |
| `queue:{model}:completed` | sorted set | completed jobs, by when they ended in ms: ids as JSON |
| `queue:{model}:dead` | sorted set | failed jobs, by when they ended in ms |
| `queue:{model}:counts` | hash | how jobs ended, and how many; see `lua/includes/counters.lua` |
| `queue:{model}:histograms` | string | how long jobs waited and ran; see `histograms` |
| `queue:{model}:owners` | hash | name of an API key to the µs that its jobs ran |
| `queue:{model}:history` | list | the counts minute by minute; see `lua/includes/minutes.lua` |
| `queue:{model}:rate` | hash | how fast jobs end |
| `queue:{model}:comparisons` | hash | of shadow jobs: what was compared; see `lua/includes/comparisons.lua` |
| `queue:{model}:differing` | list | the latest of them whose results differ: when, in ms, and JSON |
| `queue:{model}:run-times` | string | how long they ran on either version; see `run_times` |
| `queue:{model}:cursor:…` | string | where recovery's pass over an index continues |
| `shard` | string | the number of this shard, where there are several |
| `scan:cursor`, `scan:step` | string | where the scan for jobs from outside continues; held for a step |
| `blobs:cursor`, `blobs:step` | string | where the sweep of the blob store continues; held for a step |
| `blobs:usage` | string | how many blobs, and bytes of them, the latest sweep has found |
| `blobs:queue` | string | id of this queue, by which a blob store knows whose it is |
| `queue:{model}:sequence` | string | the last sequence number |
| `queue:{model}:outside` | string | there while programs from outside have recently pushed or run jobs |
| `pop:{token}` | string | there while a claim behind a BRPOP may trust that this has popped something |
| `claim:{token}` | list | model, and ids of the jobs that are still leased by a claim |
| `worker:{id}` | hash | a live worker; expires |
| `loading:{host}` | hash | process id of a worker to a stamp of what it is loading |
| `loaded:{stamp}` | string | there while a worker has recently loaded the model with this stamp |
| `load-turn:{stamp}` | string | there while a worker loads the model with this stamp while it serves others |
| `unloadable:{stamp}` | string | why the model in the folder with this stamp must not be loaded |
| `workers` | sorted set | worker ids by last heartbeat in ms |
| `workers:seen` | string | the last heartbeat of any worker in ms |
| `models` | hash | model name to its JSON document |
| `models:rollouts` | hash | model name to the JSON of the rollout that operators have set |
| `models:generation` | string | grows when workers have to read the rollouts and the repository again |
| `models:seen` | sorted set | announced models by when a worker had them last, in ms |
| `probe` | string | written and removed in one step, to see whether the server takes writes |
| `idempotency:{digest}` | string | fingerprint of a request and the ids of its jobs |
| `ticket:{digest}` | string | name of the API key that a ticket for an event stream stands for; expires |
| `webhooks` | sorted set | ended jobs whose end is to be reported, by due time in ms |
| `webhooks:counts` | hash | how many reports came to which end |
| `events` | channel | `id:status` of jobs whose status changed, joined by commas, one message a batch |

The field `|bytes` of `jobs:records` holds how many bytes of data the jobs have that have not ended.
"""
