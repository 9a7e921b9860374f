#!lua flags=allow-oom
-- Deletes chunks of a large job, and cancels those that have not ended. One whose worker may not know yet that it is cancelled is
-- left for a later call.
--
-- KEYS[1]  jobs:split
-- ARGV[1]  key prefix
-- ARGV[2]  id of the large job
-- ARGV[3]  its plan, as `jobs:split` has it: with another one nothing is changed
-- ARGV[4]  lifetime of an ended job, ms
-- ARGV[5]  how long ago a chunk that ran must have been cancelled, ms
-- ARGV[6…] ids of chunks; none: all are gone, and the plan goes, with the progress of the job
--
-- Returns  {chunks that are left, and of each key of data or result that is removed here: id, data or result, how it begins}

--- @include "base"
--- @include "cancellation"
--- @include "clock"
--- @include "counters"
--- @include "deletion"
--- @include "events"
--- @include "jobs"
--- @include "keys"

local ttl_ms, delay_ms = ARGV[4], tonumber(ARGV[5])
local REFERENCE_BYTES = 1024
local now = now_ms()
local left, begins = 0, {}

-- Whether a chunk may be deleted now; cancels it before that.
local function is_over(id, job)
  local queue = queue_key(job.model)
  if job.state ~= 'ended' then
    local was_leased = job.state == 'leased'
    cancel_job(queue, id, job, ttl_ms, now)
    return not was_leased
  end
  return job.error_kind ~= 'cancelled' or not job.token or now - tonumber(job.ended_ms) >= delay_ms
end

local function delete(id, job)
  for _, part in ipairs({'data', 'result'}) do
    local begin = read_safely('GETRANGE', job_key(id, part), 0, REFERENCE_BYTES - 1)
    if begin and begin ~= '' then
      local last = #begins
      begins[last + 1], begins[last + 2], begins[last + 3] = id, part, begin
    end
  end
  delete_job(id, job)
end

check_records()
if call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then return {0, begins} end
if #ARGV < 6 then
  call('HDEL', KEYS[1], ARGV[2])
  call('UNLINK', job_key(ARGV[2], 'progress'))
end
for i = 6, #ARGV do
  local id = ARGV[i]
  local job = find_job(id)
  if not job or is_over(id, job) then delete(id, job) else left = left + 1 end
end
write_counts(now)
publish_events()
return {left, begins}
