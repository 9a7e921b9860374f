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

local webhooks, limit, lease_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local dropped, reports = 0, {}

for _, id in ipairs(call('ZRANGEBYSCORE', webhooks, '-inf', now, 'LIMIT', 0, limit)) do
  local meta = redis.pcall('HMGET', job_key(id, 'meta'), 'state', 'webhook', 'ended_ms', 'webhook_attempts')
  if meta.err or meta[1] ~= 'ended' or not meta[2] or not meta[3] then
    call('ZREM', webhooks, id)
    dropped = dropped + 1
  else
    call('ZADD', webhooks, now + lease_ms, id)
    for _, part in ipairs({id, meta[2], tonumber(meta[3]) or 0, tonumber(meta[4]) or 0, now + lease_ms}) do
      reports[#reports + 1] = part
    end
  end
end
return {dropped, reports}
