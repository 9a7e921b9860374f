-- Shared by every script: time, key names, and the ways a job changes state.
-- ARGV[1] is always the key prefix.

local prefix = ARGV[1]
local PRIORITIES = {'high', 'normal', 'low'}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function job_key(id, part)
  return prefix .. 'job:' .. id .. ':' .. part
end

local function queue_key(model)
  return prefix .. 'queue:' .. model
end

local function list_key(queue, priority)
  if priority == 'normal' then return queue end
  return queue .. ':' .. priority
end

local function open_key(queue, priority)
  return queue .. ':open:' .. priority
end

local function depth_of(queue)
  local depth = 0
  for _, priority in ipairs(PRIORITIES) do
    depth = depth + redis.call('LLEN', list_key(queue, priority))
  end
  return depth
end

-- Takes the job out of every index and gives its keys the lifetime of an ended job.
local function close_job(queue, id, priority, ttl_ms, now)
  redis.call('ZREM', queue .. ':leases', id)
  redis.call('ZREM', queue .. ':retries', id)
  redis.call('ZREM', open_key(queue, priority), id)
  redis.call('HSET', job_key(id, 'meta'), 'state', 'ended', 'ended_ms', now)
  redis.call('PEXPIRE', job_key(id, 'meta'), ttl_ms)
end

local function complete_job(queue, id, priority, ttl_ms, now)
  redis.call('SET', job_key(id, 'status'), 'completed', 'PX', ttl_ms)
  redis.call('UNLINK', job_key(id, 'data'), job_key(id, 'error'))
  close_job(queue, id, priority, ttl_ms, now)
end

-- The data stays, so that a failed job can be looked into.
local function fail_job(queue, id, priority, ttl_ms, now, kind, message)
  redis.call('SET', job_key(id, 'error'), message, 'PX', ttl_ms)
  redis.call('SET', job_key(id, 'status'), 'failed', 'PX', ttl_ms)
  redis.call('PEXPIRE', job_key(id, 'data'), ttl_ms)
  redis.call('HSET', job_key(id, 'meta'), 'error_kind', kind)
  close_job(queue, id, priority, ttl_ms, now)
end

local function publish(events)
  if #events > 0 then
    redis.call('PUBLISH', prefix .. 'events', table.concat(events, ','))
  end
end
