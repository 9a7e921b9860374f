-- The end of jobs that cannot be read.

--- @include "lifecycle"

-- Any program may have written anything under a job's keys: what cannot be read fails, so that the queue goes on.
local function fail_unreadable(queue, model, id, priority, ttl_ms, now)
  fail_job(queue, id, {model = model, priority = priority}, ttl_ms, now, 'invalid-input',
    'The keys of this job cannot be read. Expected job:' .. id .. ':data and :status as strings, and nothing in the hash ' ..
    'jobs:records but what inferq wrote.')
end
