#!lua flags=allow-oom
-- Ends, or gives back, jobs that this worker ran. The first success decides, once; a failure needs the lease.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of an ended job, ms
-- ARGV[3]  most charged failures of a job
-- ARGV[4…] for each job:
--   id, token,
--   verdict      completed, failed (for good), retry (after the delay, if failures are left), released (not charged)
--   payload      JSON of the result ('' if staged under job:{id}:result:{token}); or the error message
--   and, unless it has completed: error kind; delay, ms
--
-- Returns  for each job: 'completed', 'late' (completed, though the lease had passed on), 'failed', 'retrying',
--          'released', or 'stale' (nothing changed: somebody else has it, or it had ended)

local ttl_ms, max_failures = ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local ended_ms = text(now)
local answers, events, ended, completed = {}, {}, {}, {}
local leaving = {} -- index to the ids that leave it
local gone = {} -- keys that are removed

local function leave(index, id)
  local ids = leaving[index] or {}
  leaving[index] = ids
  ids[#ids + 1] = id
end

local function has_result(id, token, payload)
  return payload ~= '' or redis.call('EXISTS', job_key(id, 'result') .. ':' .. token) == 1
end

local function store_result(id, token, payload)
  local result = job_key(id, 'result')
  if payload ~= '' then
    redis.call('SET', result, payload, 'PX', ttl_ms)
  else
    redis.call('RENAME', result .. ':' .. token, result)
    redis.call('PEXPIRE', result, ttl_ms)
  end
end

-- Completes the job, unless an outside worker has ended it. Returns whether it has completed by this.
local function complete(queue, id, meta_key, state, priority, token, payload, webhook)
  local status_key = job_key(id, 'status')
  local status = redis.pcall('SET', status_key, 'completed', 'PX', ttl_ms, 'GET')
  if status == 'completed' or status == 'failed' then
    redis.call('SET', status_key, status, 'PX', ttl_ms)
    events[#events + 1] = id .. ':' .. close_if_ended_outside(queue, id, priority, ttl_ms, now)
    return false
  end
  if type(status) == 'table' then redis.call('SET', status_key, 'completed', 'PX', ttl_ms) end -- it was no string
  store_result(id, token, payload)
  gone[#gone + 1], gone[#gone + 2] = job_key(id, 'data'), job_key(id, 'error')
  redis.call('HSET', meta_key, 'state', 'ended', 'ended_ms', ended_ms)
  redis.call('PEXPIRE', meta_key, ttl_ms)
  leave(queue .. ':leases', id)
  leave(open_key(queue, priority), id)
  if state == 'retrying' then leave(queue .. ':retries', id) end
  if webhook then report_end(id, now) end
  local ids = completed[queue] or {}
  completed[queue] = ids
  ids[#ids + 1] = id
  events[#events + 1] = id .. ':completed'
  return true
end

local function give_back(queue, id, priority)
  redis.call('ZREM', queue .. ':leases', id)
  redis.call('HDEL', job_key(id, 'meta'), 'token')
  redis.call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  events[#events + 1] = id .. ':pending'
end

local function settle(id, token, verdict, payload, kind, delay_ms)
  local meta_key = job_key(id, 'meta')
  local meta = redis.call('HMGET', meta_key, 'state', 'token', 'priority', 'model', 'attempts',
    'webhook')
  local state, priority = meta[1], meta[3] or 'normal'
  if not state or state == 'ended' then return 'stale' end
  local queue, leased = queue_key(meta[4]), state == 'leased' and meta[2] == token
  if verdict == 'completed' then
    if not has_result(id, token, payload) then return 'stale' end
    if not complete(queue, id, meta_key, state, priority, token, payload, meta[6]) then
      return 'stale'
    end
    return leased and 'completed' or 'late'
  end
  local ended_outside = close_if_ended_outside(queue, id, priority, ttl_ms, now)
  if ended_outside then
    events[#events + 1] = id .. ':' .. ended_outside
    return 'stale'
  end
  if not leased then return 'stale' end
  if verdict == 'released' then
    give_back(queue, id, priority)
    redis.call('HINCRBY', meta_key, 'attempts', -1)
    redis.call('HSET', meta_key, 'state', 'queued')
    redis.call('RPUSH', list_key(queue, priority), id)
    return 'released'
  end
  record_attempt(id, now, kind, payload)
  local failures = redis.call('HINCRBY', meta_key, 'failures', 1)
  if verdict == 'retry' and failures < max_failures then
    give_back(queue, id, priority)
    redis.call('HSET', meta_key, 'state', 'retrying', 'error_kind', kind, 'last_error', payload)
    redis.call('ZADD', queue .. ':retries', now + delay_ms, id)
    return 'retrying'
  end
  local attempts = tonumber(meta[5])
  if attempts > 1 then payload = payload .. ' (after ' .. attempts .. ' attempts)' end
  fail_job(queue, id, priority, ttl_ms, now, kind, payload)
  ended[queue] = (ended[queue] or 0) + 1
  events[#events + 1] = id .. ':failed'
  return 'failed'
end

-- What any program may have made of a job's keys must not keep the others from being settled: recovery sees to it.
local function settle_safely(...)
  local is_fine, answer = pcall(settle, ...)
  return is_fine and answer or 'stale'
end

local i = 4
while i <= #ARGV do
  local id, token, verdict, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if verdict == 'completed' then
    answers[#answers + 1] = settle_safely(id, token, verdict, payload)
    if payload == '' then gone[#gone + 1] = job_key(id, 'result') .. ':' .. token end
    i = i + 4
  else
    answers[#answers + 1] = settle_safely(id, token, verdict, payload, ARGV[i + 4], tonumber(ARGV[i + 5]))
    i = i + 6
  end
end
if #gone > 0 then redis.call('UNLINK', unpack(gone)) end
for index, ids in pairs(leaving) do redis.call('ZREM', index, unpack(ids)) end
for queue, ids in pairs(completed) do
  list_completed(queue, ids, now, ttl_ms)
  ended[queue] = (ended[queue] or 0) + #ids
end
for queue, count in pairs(ended) do count_ended(queue, count, now) end
publish(events)
return answers
