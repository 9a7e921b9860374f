-- The end of jobs by order.

--- @include "attempts"
--- @include "base"
--- @include "ends"
--- @include "keys"

local CANCELLED = 'The job was cancelled.'

-- Ends a job by order, whether it waits or runs. An id left in a list is passed over when its turn comes; to take it out
-- costs as much as there is before it.
local function cancel_job(queue, id, job, ttl_ms, now)
  local list, is_queued = list_key(queue, job.priority), job.state == 'queued'
  if job.state == 'leased' then record_attempt(job, now, 'cancelled', CANCELLED) end
  fail_job(queue, id, job, ttl_ms, now, 'cancelled', CANCELLED)
  if is_queued and (call('LLEN', list) <= 10000 or call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000)) then
    call('LREM', list, -1, id)
  end
end
