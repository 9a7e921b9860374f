#!lua flags=allow-oom
-- Ends some jobs of a model and a priority that wait, for their turn or for a retry, the oldest first.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of an ended job, ms
-- ARGV[3]  name of the key that asks: its jobs and those without an owner; '' for all
-- ARGV[4]  priority
-- ARGV[5]  least sequence number, as ZRANGEBYSCORE takes it
-- ARGV[6]  greatest sequence number
-- ARGV[7]  most jobs to read
--
-- Returns  {jobs ended, the least sequence number of the next call; '' if that were all; ends, see `ends`}

--- @include "base"
--- @include "cancellation"
--- @include "clock"
--- @include "counters"
--- @include "ends"
--- @include "events"
--- @include "jobs"
--- @include "keys"

local queue, ttl_ms, owner, priority = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local now = now_ms()
check_records()
local cancelled_count, has_ended = 0, false

local function cancel(id)
  local job = find_job(id)
  if not job or (job.state ~= 'queued' and job.state ~= 'retrying') then return end
  if redis.pcall('GET', job_key(id, 'status')) == 'processing' then return end -- a worker from outside has it
  if owner ~= '' and (job.owner or '') ~= '' and job.owner ~= owner then return end
  if not notice_outside_end(queue, id, job, ttl_ms, now) then
    cancel_job(queue, id, job, ttl_ms, now)
    cancelled_count = cancelled_count + 1
  end
  has_ended = true
end

local found = call('ZRANGEBYSCORE', open_key(queue, priority), ARGV[5], ARGV[6], 'WITHSCORES', 'LIMIT', 0, ARGV[7])
for i = 1, #found, 2 do cancel(found[i]) end
write_counts(now)
publish_events()
if #found < 2 * ARGV[7] then return {cancelled_count, '', unreported} end
-- jobs from outside share the number 0; what was ended of them is not found again
return {cancelled_count, found[#found] == '0' and has_ended and '-inf' or '(' .. found[#found], unreported}
