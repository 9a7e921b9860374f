#!lua flags=allow-oom
-- Hands out ends of jobs that are due to be reported. Each is due again after the lease, should its worker die.
--
-- KEYS[1]  webhooks
-- ARGV[1]  key prefix
-- ARGV[2]  most reports to hand out
-- ARGV[3]  lease, ms
--
-- Returns  {reports dropped, since their job is gone or has no webhook any more,
--           {id, URL, when the job ended in ms, tries so far, due time in ms that settles it, the next id, …}}

--- @include "base"
--- @include "clock"
--- @include "jobs"
--- @include "records"

local webhooks, limit, lease_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local dropped, reports = 0, {}

check_records()
for _, id in ipairs(call('ZRANGEBYSCORE', webhooks, '-inf', now, 'LIMIT', 0, limit)) do
  local job = find_job(id)
  if not job or job.state ~= 'ended' or not job.webhook or not job.ended_ms then
    call('ZREM', webhooks, id)
    dropped = dropped + 1
  else
    call('ZADD', webhooks, now + lease_ms, id)
    for _, part in ipairs({id, job.webhook, tonumber(job.ended_ms) or 0, tonumber(job.webhook_attempts) or 0, now + lease_ms}) do
      reports[#reports + 1] = part
    end
  end
end
return {dropped, reports}
