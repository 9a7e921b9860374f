-- The end of jobs without a record that can be read.

--- @include "base"
--- @include "ends"
--- @include "keys"
--- @include "pushed"

-- Fails such a job. It is open if it was accepted, in any priority; else it was pushed by an outside program and never seen.
local function fail_unrecorded(queue, model, id, priority, ttl_ms, now, kind, message)
  local was_open = 0
  for _, each in ipairs(PRIORITIES) do was_open = was_open + (read_safely('ZREM', open_key(queue, each), id) or 0) end
  if was_open == 0 then add_pushed(queue, priority, 1) end
  fail_job(queue, id, {model = model, priority = priority}, ttl_ms, now, kind, message)
end

-- Any program may have written anything under a job's keys: what cannot be read fails, so that the queue goes on.
local function fail_corrupt(queue, model, id, priority, ttl_ms, now)
  fail_unrecorded(queue, model, id, priority, ttl_ms, now, 'invalid-input',
    'The keys of this job cannot be read. Expected job:' .. id .. ':data and :status as strings, and nothing in the hash ' ..
    'jobs:records but what inferq wrote.')
end
