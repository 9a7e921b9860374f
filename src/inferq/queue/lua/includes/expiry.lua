-- The end of jobs that waited too long.

--- @include "base"
--- @include "ends"
--- @include "jobs"
--- @include "keys"

local function describe_expiry(job, job_ttl_ms)
  return string.format('The job is older than %g s (INFERQ_JOB_TTL_SECONDS) and was not %s. Submit it again.', job_ttl_ms / 1000,
    (tonumber(job.attempts) or 0) > 0 and 'completed' or 'run')
end

-- Ends jobs that waited too long: they are the oldest of their index, but for those from outside, which have no sequence
-- number. Returns how many failed.
local function expire_waiting(queue, limit, job_ttl_ms, ttl_ms, now)
  local failed_count = 0
  for _, priority in ipairs(PRIORITIES) do
    for _, id in ipairs(read_safely('ZRANGE', open_key(queue, priority), 0, limit - 1) or {}) do
      local job = find_job(id) or {}
      local is_too_late = now - (tonumber(job.submitted_ms) or now) > job_ttl_ms
      if not is_too_late and job.sequence ~= '0' then break end
      if is_too_late and (job.state == 'queued' or job.state == 'retrying') and
        not notice_outside_end(queue, id, job, ttl_ms, now) then
        fail_job(queue, id, job, ttl_ms, now, 'expired', describe_expiry(job, job_ttl_ms))
        failed_count = failed_count + 1
      end
    end
  end
  return failed_count
end
