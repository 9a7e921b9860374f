-- The end of jobs by order.

--- @include "attempts"
--- @include "ends"
--- @include "list_removal"

local CANCELLED = 'The job was cancelled.'

-- Ends a job by order, whether it waits or runs.
local function cancel_job(queue, id, job, ttl_ms, now)
  local is_queued = job.state == 'queued'
  if job.state == 'leased' then record_attempt(job, now, 'cancelled', CANCELLED) end
  fail_job(queue, id, job, ttl_ms, now, 'cancelled', CANCELLED)
  if is_queued then remove_from_list(queue, id, job.priority) end
end
