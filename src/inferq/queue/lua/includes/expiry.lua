-- The end of jobs that waited too long.

--- @include "base"
--- @include "deadlines"
--- @include "ends"
--- @include "jobs"
--- @include "keys"
--- @include "list_removal"

-- Why a job that waits is not to be run any more; nil if it may be. An attempt that began in time may be followed by others.
local function find_expiry(job, job_ttl_ms, now)
  local submitted_ms, start_by_ms = tonumber(job.submitted_ms) or now, tonumber(job.start_by_ms)
  local has_run = (tonumber(job.attempts) or 0) > 0
  if now - submitted_ms > job_ttl_ms then
    return string.format('The job is older than %g s (INFERQ_JOB_TTL_SECONDS) and was not %s. Submit it again.',
      job_ttl_ms / 1000, has_run and 'completed' or 'run')
  end
  if not start_by_ms or now < start_by_ms or has_run then return nil end
  return string.format('No worker took the job within %g s (expires_in). Submit it again with more time, or add workers.',
    (start_by_ms - submitted_ms) / 1000)
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
        fail_job(queue, id, job, ttl_ms, now, 'expired', find_expiry(job, job_ttl_ms, now))
        failed_count = failed_count + 1
      end
    end
  end
  return failed_count
end

-- Ends jobs that have not started by the time that they said. Returns how many failed, and whether more are due.
local function expire_unstarted(queue, limit, job_ttl_ms, ttl_ms, now)
  local index, failed_count = deadlines_key(queue), 0
  local due = read_safely('ZRANGEBYSCORE', index, '-inf', format_int(now), 'LIMIT', 0, limit) or {}
  for _, id in ipairs(due) do
    call('ZREM', index, id)
    local job = find_job(id)
    local message = job and job.state == 'queued' and find_expiry(job, job_ttl_ms, now)
    if message and redis.pcall('GET', job_key(id, 'status')) == 'pending' then -- else a program from outside has it
      fail_job(queue, id, job, ttl_ms, now, 'expired', message)
      remove_from_list(queue, id, job.priority)
      failed_count = failed_count + 1
    end
  end
  return failed_count, #due == limit
end
