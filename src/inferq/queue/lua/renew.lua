#!lua flags=allow-oom
-- Prolongs the leases that this worker still holds, and the lifetime of the running jobs' keys.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lease, ms
-- ARGV[3]  lifetime of a job that has not ended, ms
-- ARGV[4…] two for each job: id, token
--
-- Returns  for each job: 1 renewed, 0 not held any more

local lease_ms, job_ttl_ms = tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local answers = {}

for i = 4, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local meta = redis.call('HMGET', job_key(id, 'meta'), 'state', 'token', 'model')
  local held = meta[1] == 'leased' and meta[2] == token
  if held then
    redis.call('ZADD', queue_key(meta[3]) .. ':leases', 'XX', 'GT', now + lease_ms, id)
    for _, part in ipairs({'meta', 'status', 'data'}) do
      redis.call('PEXPIRE', job_key(id, part), job_ttl_ms)
    end
  end
  answers[#answers + 1] = held and 1 or 0
end
return answers
