#!lua flags=allow-oom
-- Leases webhooks that are due. Each is due again after the lease, should its worker die.
--
-- KEYS[1]  webhooks
-- ARGV[1]  key prefix
-- ARGV[2]  most webhooks to lease
-- ARGV[3]  lease, ms
--
-- Returns  {ids of webhooks removed, since their job has expired or has no webhook any more,
--           {id, URL, when the job ended in ms, tries so far, due time in ms that acknowledges it, the next id, …}}

--- @include "base"
--- @include "clock"
--- @include "jobs"

local webhooks, limit, lease_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local expired, leased = {}, {}

check_records()
for _, id in ipairs(call('ZRANGEBYSCORE', webhooks, '-inf', now, 'LIMIT', 0, limit)) do
  local job = find_job(id)
  if not job or job.state ~= 'ended' or not job.webhook or not job.ended_ms then
    call('ZREM', webhooks, id)
    expired[#expired + 1] = id
  else
    call('ZADD', webhooks, now + lease_ms, id)
    for _, part in ipairs({id, job.webhook, tonumber(job.ended_ms) or 0, tonumber(job.webhook_attempts) or 0, now + lease_ms}) do
      leased[#leased + 1] = part
    end
  end
end
return {expired, leased}
