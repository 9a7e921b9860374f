"""The queue: everything inferq knows about Redis.

The producer's side is `producer.Producer` (asynchronous, for the proxy), the consumer's side is
`consumer.Consumer` (synchronous, for workers), and `reports.Reports` hands workers the webhooks that are due.
The state changes are the Lua scripts in `lua/`.

The data model, with `{prefix}` before every key:

| key | type | holds |
| --- | --- | --- |
| `job:{id}:data` | string | JSON of the request's `data` |
| `job:{id}:status` | string | `pending`, `processing`, `completed` or `failed`; mirrors `state` |
| `job:{id}:result` | string | JSON of the result, once completed |
| `job:{id}:error` | string | what went wrong, for a person, once failed |
| `job:{id}:meta` | hash | what the scripts decide on; fields below |
| `queue:{model}`, `…:high`, `…:low` | list | job ids, LPUSH in, popped at the right |
| `queue:{model}:open:{priority}` | sorted set | jobs not yet ended, by sequence number |
| `queue:{model}:leases` | sorted set | running jobs, by the lease's deadline in ms |
| `queue:{model}:retries` | sorted set | jobs waiting for another try, by due time in ms |
| `queue:{model}:completed` | sorted set | the latest completed jobs, by when they ended in ms |
| `queue:{model}:sequence` | string | the last sequence number given out |
| `queue:{model}:outside` | string | there while programs from outside have pushed or run jobs of late |
| `take:{token}` | string | there while a claim behind a BRPOP may trust that this has popped something |
| `claim:{token}` | list | model and ids that a claim handed out, as long as its lease: for a repeated claim |
| `worker:{id}` | hash | a live worker; expires |
| `workers` | sorted set | worker ids by last heartbeat in ms |
| `workers:seen` | string | the last heartbeat of any worker in ms |
| `models` | hash | model name to its JSON document |
| `idempotency:{digest}` | string | fingerprint of a request and the ids of its jobs |
| `webhooks` | sorted set | ended jobs whose end is to be reported, by due time in ms |
| `events` | channel | `id:status` of jobs whose status changed, joined by commas, one message a batch |

Fields of `job:{id}:meta`: `state` (`staged`, `queued`, `leased`, `retrying`, `ended`); `model`,
`priority`, `sequence`; `attempts` (times handed out, if any), `failures` (charged, if any), `alone` (1: run
without company, after a crash), `is_large` (1: its data may be more than a script should pass on); `token`
and `worker` of the lease; `submitted_ms`, `started_ms`, `ended_ms`; `error_kind`, `last_error`;
`missing_ms` (when recovery first found it in no list); `cancel_token` and `revive_token` (by which
a call that the client library repeats is known); `webhook` (URL to which the end is reported),
`webhook_status` (`delivered` or `given-up`, once settled), `webhook_attempts`, `webhook_ms` (the
last try), `webhook_error`.
"""
