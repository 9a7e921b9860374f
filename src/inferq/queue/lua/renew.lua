#!lua flags=allow-oom
-- Prolongs the leases that this worker still holds, and the lifetime of the running jobs' keys. For a run past its hard
-- deadline none is prolonged: a worker whose threads live on while its model hangs must not keep its jobs for ever. A lease
-- is that of all jobs of a claim, so it goes on as long as one of them may run. A job that only waits for its files is noted
-- as such: it is not to blame if the worker dies.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lease, ms
-- ARGV[3]  lifetime of a job that has not ended, ms
-- ARGV[4…] four for each job: id, token, longest time since its start, ms, 1 if it only waits for its files or 0
--
-- Returns  for each job: 'renewed', 'overdue' (not prolonged), 'cancelled', or 'lost' (another worker has it, or it ended)

--- @include "base"
--- @include "clock"
--- @include "jobs"
--- @include "keys"
--- @include "leases"

local lease_ms, job_ttl_ms = tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local answers, prolonged = {}, {}

local function renew(id, token, longest_ms, awaits_files)
  local job = find_job(id)
  if job and job.state == 'ended' and job.error_kind == 'cancelled' then return 'cancelled' end
  if not job or job.state ~= 'leased' or job.token ~= token then return 'lost' end
  if now - tonumber(job.started_ms) > longest_ms then return 'overdue' end
  if not prolonged[token] then
    call('ZADD', queue_key(job.model) .. ':leases', 'XX', format_int(now + lease_ms), token)
    call('PEXPIRE', claim_key(token), job_ttl_ms)
    prolonged[token] = true
  end
  for _, part in ipairs({'status', 'data'}) do call('PEXPIRE', job_key(id, part), job_ttl_ms) end
  if (job.awaits_files or '0') ~= awaits_files then
    job.awaits_files = awaits_files == '1' and '1' or nil
    save_job(id, job)
  end
  return 'renewed'
end

check_records()
for i = 4, #ARGV, 4 do
  answers[#answers + 1] = renew(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3])
end
return answers
