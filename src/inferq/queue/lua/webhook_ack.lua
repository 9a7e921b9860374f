#!lua flags=allow-oom
-- Notes how attempts to deliver webhooks went. A success counts if the job has not been run again since; anything else
-- only from the worker that leased the webhook last.
--
-- KEYS[1]  webhooks
-- ARGV[1]  key prefix
-- ARGV[2…] six for each webhook:
--   id,
--   when the job ended, ms
--   due time with which it was leased, ms
--   verdict      delivered, again (after the delay), given-up, or deferred (again after the delay, nothing was tried)
--   error        what went wrong, for a person; '' if nothing
--   delay, ms
--
-- Returns  for each webhook: its verdict, or 'stale' (nothing changed)

--- @include "base"
--- @include "clock"
--- @include "jobs"

local webhooks = KEYS[1]
local now = now_ms()
local answers, settled = {}, {} -- answers by job; how many webhooks came to which end

local function acknowledge(id, ended_ms, due_ms, verdict, fault, delay_ms)
  local job = find_job(id)
  if not job or job.state ~= 'ended' or tonumber(job.ended_ms) ~= ended_ms or job.webhook_status then return 'stale' end
  if verdict ~= 'delivered' and tonumber(call('ZSCORE', webhooks, id) or 0) ~= due_ms then return 'stale' end
  if verdict == 'deferred' then
    call('ZADD', webhooks, now + delay_ms, id)
    return verdict
  end
  job.webhook_attempts, job.webhook_ms = (tonumber(job.webhook_attempts) or 0) + 1, now
  job.webhook_error = fault ~= '' and fault or nil
  if verdict == 'again' then
    call('ZADD', webhooks, now + delay_ms, id)
  else
    job.webhook_status = verdict
    settled[verdict] = (settled[verdict] or 0) + 1
    call('ZREM', webhooks, id)
  end
  save_job(id, job)
  return verdict
end

check_records()
for i = 2, #ARGV, 6 do
  answers[#answers + 1] = acknowledge(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4],
    tonumber(ARGV[i + 5]))
end
for verdict, number in pairs(settled) do redis.pcall('HINCRBY', webhooks .. ':counts', verdict, format_int(number)) end
return answers
