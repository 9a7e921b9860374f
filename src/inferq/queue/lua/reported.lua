#!lua flags=allow-oom
-- Notes how tries to report ends of jobs went. A success counts if the job has not been run again since; anything else
-- only from whom the report was last handed out to.
--
-- KEYS[1]  webhooks
-- ARGV[1]  key prefix
-- ARGV[2…] six for each report:
--   id,
--   when the job ended, ms
--   due time with which the report was handed out, ms
--   verdict      delivered, again (after the delay), given-up, or deferred (again after the delay, nothing was tried)
--   error        what went wrong, for a person; '' if nothing
--   delay, ms
--
-- Returns  for each report: its verdict, or 'stale' (nothing changed)

local webhooks = KEYS[1]
local now = now_ms()
local answers = {}

local function settle(id, ended_ms, due_ms, verdict, fault, delay_ms)
  local meta_key = job_key(id, 'meta')
  local meta = redis.pcall('HMGET', meta_key, 'state', 'ended_ms', 'webhook_status')
  if meta.err or meta[1] ~= 'ended' or tonumber(meta[2]) ~= ended_ms or meta[3] then return 'stale' end
  if verdict ~= 'delivered' and tonumber(call('ZSCORE', webhooks, id) or 0) ~= due_ms then return 'stale' end
  if verdict == 'deferred' then
    call('ZADD', webhooks, now + delay_ms, id)
    return verdict
  end
  call('HINCRBY', meta_key, 'webhook_attempts', 1)
  call('HSET', meta_key, 'webhook_ms', now)
  call('HDEL', meta_key, 'webhook_error')
  if fault ~= '' then call('HSET', meta_key, 'webhook_error', fault) end
  if verdict == 'again' then
    call('ZADD', webhooks, now + delay_ms, id)
  else
    call('HSET', meta_key, 'webhook_status', verdict)
    call('ZREM', webhooks, id)
  end
  return verdict
end

for i = 2, #ARGV, 6 do
  answers[#answers + 1] = settle(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4],
    tonumber(ARGV[i + 5]))
end
return answers
