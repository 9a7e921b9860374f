#!lua flags=allow-oom
-- Deletes an ended job and all that names it.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  lifetime of an ended job, ms
-- ARGV[4]  lifetime of a job that has not ended, ms
--
-- Returns  {'deleted', or its public status (it has not ended: nothing changed); its end, if only noticed here, see `ends`}, or
--          false (no such job)

--- @include "base"
--- @include "clock"
--- @include "counters"
--- @include "deletion"
--- @include "ends"
--- @include "events"
--- @include "jobs"
--- @include "keys"

local id, ttl_ms = ARGV[2], ARGV[3]
check_records()
local job = find_job(id)
local status = call('GET', job_key(id, 'status'))

if not job then -- from outside, and no script of ours has seen it
  if status ~= 'completed' and status ~= 'failed' then
    status = status or (call('EXISTS', job_key(id, 'data')) == 1 and 'pending')
    return status and {status, {}}
  end
elseif job.state ~= 'ended' then
  local now = now_ms()
  if not notice_outside_end(queue_key(job.model), id, job, ttl_ms, now) then return {status or 'pending', {}} end
  write_counts(now)
  publish_events()
end

-- where it may still stand in its list, it must not be taken for a new one there
if delete_job(id, job) then call('SET', job_key(id, 'deleted'), '1', 'PX', ARGV[4]) end
redis.pcall('ZREM', prefix .. 'webhooks', id)
return {'deleted', unreported}
