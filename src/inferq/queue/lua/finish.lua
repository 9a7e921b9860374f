#!lua flags=allow-oom
-- Ends, or gives back, jobs that this worker ran. The first success decides, once; a failure needs the lease.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of an ended job, ms
-- ARGV[3]  most charged failures of a job
-- ARGV[4…] for jobs that follow each other with the same verdict and token:
--   verdict      completed, failed (for good), retry (after the delay, if failures are left), released (not charged)
--   token, number of these jobs, and for each:
--     id
--     payload    JSON of the result ('' if staged under job:{id}:result:{token}); or the error message
--     and, unless it has completed: error kind; delay, ms
--
-- Returns  for each job: 'completed', 'late' (completed, though the lease had passed on), 'failed', 'retrying',
--          'released', or 'stale' (nothing changed: somebody else has it, or it had ended)

local ttl_ms, max_failures = ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local ended_ms = text(now)
local answers, events, ended = {}, {}, {}
local gone, gone_count = {}, 0 -- keys that are removed

-- The jobs that complete here, together for each list that they came from; by model and priority.
local groups = {}

local function group_of(model, priority)
  local of_model = groups[model] or {}
  groups[model] = of_model
  local group = of_model[priority]
  if not group then
    local queue = queue_key(model)
    group = {queue = queue, open = open_key(queue, priority), ids = {}, count = 0, retrying = {}}
    of_model[priority] = group
  end
  return group
end

local function has_result(base, token, payload)
  return payload ~= '' or call('EXISTS', base .. 'result:' .. token) == 1
end

local function store_result(base, token, payload)
  local result = base .. 'result'
  if payload ~= '' then
    call('PSETEX', result, ttl_ms, payload)
  else
    call('RENAME', result .. ':' .. token, result)
    call('PEXPIRE', result, ttl_ms)
  end
end

-- Completes the job, unless an outside worker has ended it. Returns whether it has completed by this.
local function complete(id, base, meta_key, meta, token, payload)
  local status_key, state, priority = base .. 'status', meta[1], meta[3] or 'normal'
  local group = group_of(meta[4], priority)
  local status = redis.pcall('SET', status_key, 'completed', 'PX', ttl_ms, 'GET')
  if status == 'completed' or status == 'failed' then
    call('SET', status_key, status, 'PX', ttl_ms)
    events[#events + 1] = id .. ':' .. close_if_ended_outside(group.queue, id, priority, ttl_ms, now)
    return false
  end
  if type(status) == 'table' then call('SET', status_key, 'completed', 'PX', ttl_ms) end -- it was no string
  store_result(base, token, payload)
  call('HSET', meta_key, 'state', 'ended', 'ended_ms', ended_ms)
  call('PEXPIRE', meta_key, ttl_ms)
  gone[gone_count + 1], gone[gone_count + 2] = base .. 'data', base .. 'error'
  gone_count = gone_count + 2
  local count = group.count + 1
  group.count, group.ids[count] = count, id
  if state == 'retrying' then group.retrying[#group.retrying + 1] = id end
  if meta[5] then report_end(id, now) end
  return true
end

local function give_back(queue, id, priority)
  call('ZREM', queue .. ':leases', id)
  call('HDEL', job_key(id, 'meta'), 'token')
  call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  events[#events + 1] = id .. ':pending'
end

local function settle(id, token, verdict, payload, kind, delay_ms)
  local base = job_key(id, '')
  local meta_key = base .. 'meta'
  local meta = call('HMGET', meta_key, 'state', 'token', 'priority', 'model', 'webhook')
  local state, priority = meta[1], meta[3] or 'normal'
  if not state or state == 'ended' then return 'stale' end
  local leased = state == 'leased' and meta[2] == token
  if verdict == 'completed' then
    if not has_result(base, token, payload) or not complete(id, base, meta_key, meta, token, payload) then
      return 'stale'
    end
    return leased and 'completed' or 'late'
  end
  local queue = queue_key(meta[4])
  local ended_outside = close_if_ended_outside(queue, id, priority, ttl_ms, now)
  if ended_outside then
    events[#events + 1] = id .. ':' .. ended_outside
    return 'stale'
  end
  if not leased then return 'stale' end
  if verdict == 'released' then
    give_back(queue, id, priority)
    call('HINCRBY', meta_key, 'attempts', -1)
    call('HSET', meta_key, 'state', 'queued')
    call('RPUSH', list_key(queue, priority), id)
    return 'released'
  end
  record_attempt(id, now, kind, payload)
  local failures = call('HINCRBY', meta_key, 'failures', 1)
  if verdict == 'retry' and failures < max_failures then
    give_back(queue, id, priority)
    call('HSET', meta_key, 'state', 'retrying', 'error_kind', kind, 'last_error', payload)
    call('ZADD', queue .. ':retries', now + delay_ms, id)
    return 'retrying'
  end
  local attempts = tonumber(call('HGET', meta_key, 'attempts'))
  if attempts > 1 then payload = payload .. ' (after ' .. attempts .. ' attempts)' end
  fail_job(queue, id, priority, ttl_ms, now, kind, payload)
  ended[queue] = (ended[queue] or 0) + 1
  events[#events + 1] = id .. ':failed'
  return 'failed'
end

local i, count = 4, 0
while i <= #ARGV do
  local verdict, token, width = ARGV[i], ARGV[i + 1], ARGV[i] == 'completed' and 2 or 4
  local first, last = i + 3, i + 2 + width * tonumber(ARGV[i + 2])
  for at = first, last, width do
    local id, payload, kind, delay_ms = ARGV[at], ARGV[at + 1], nil, nil
    if width == 4 then
      kind, delay_ms = ARGV[at + 2], tonumber(ARGV[at + 3])
    elseif payload == '' then
      gone_count = gone_count + 1
      gone[gone_count] = job_key(id, 'result') .. ':' .. token
    end
    -- what any program may have made of a job's keys must not keep the others from being settled: recovery sees to it
    local is_fine, answer = pcall(settle, id, token, verdict, payload, kind, delay_ms)
    count = count + 1
    answers[count] = is_fine and answer or 'stale'
  end
  i = last + 1
end
if gone_count > 0 then call('UNLINK', unpack(gone)) end
for _, of_model in pairs(groups) do
  for _, group in pairs(of_model) do
    local queue, ids = group.queue, group.ids
    if group.count > 0 then
      call('ZREM', queue .. ':leases', unpack(ids))
      call('ZREM', group.open, unpack(ids))
      if #group.retrying > 0 then call('ZREM', queue .. ':retries', unpack(group.retrying)) end
      list_completed(queue, ids, now, ttl_ms)
      ended[queue] = (ended[queue] or 0) + group.count
      events[#events + 1] = table.concat(ids, ':completed,') .. ':completed'
    end
  end
end
for queue, count in pairs(ended) do count_ended(queue, count, now) end
publish(events)
return answers
