#!lua flags=allow-oom
-- Ends a job that has not ended, whether it waits or runs. Its worker learns of it when it renews the lease.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  lifetime of an ended job, ms
-- ARGV[4]  token of this call: one that is repeated, since its answer was lost, gets the same answer
--
-- Returns  {'queued', 'leased' or 'retrying': what it was, or 'ended' (nothing changed); its end, see `ends`}, or false (no such
--          job)

--- @include "cancellation"
--- @include "clock"
--- @include "counters"
--- @include "ends"
--- @include "events"
--- @include "jobs"
--- @include "keys"
--- @include "records"

local id, ttl_ms, token = ARGV[2], ARGV[3], ARGV[4]
local now = now_ms()
check_records()
local job = find_job(id)
if not job then return false end
local state = job.state
local cancelled_by, was = (job.cancel_token or ''):match('^(%x+):(%a+)$')
if cancelled_by == token then
  local is_cancelled = state == 'ended' and job.error_kind == 'cancelled' -- and not tried again since
  return {was, is_cancelled and {{id, 'failed', CANCELLED, read_record(id)}} or {}}
end
if state == 'ended' then return {state, {}} end

local queue = queue_key(job.model)
if notice_outside_end(queue, id, job, ttl_ms, now) then
  state = 'ended'
else
  job.cancel_token = token .. ':' .. state
  cancel_job(queue, id, job, ttl_ms, now)
end
write_counts(now)
publish_events()
return {state, unreported}
