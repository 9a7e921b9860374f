#!lua flags=allow-oom
-- Leases up to N jobs of one model to a worker: the popped one first, then the oldest of the highest priority.
--
-- KEYS     queue:{model} of every model to look at, in the order to look; with a popped id only its own
-- ARGV[1]  key prefix
-- ARGV[2]  most jobs to lease
-- ARGV[3]  lease, ms
-- ARGV[4]  worker id
-- ARGV[5]  fencing token of this claim: a claim repeated with it gets the same jobs again
-- ARGV[6]  how long a job may wait before it has expired, ms
-- ARGV[7]  lifetime of an ended job, ms
-- ARGV[8]  largest data handed out here, bytes; the caller fetches what is larger
-- ARGV[9]  id that this worker got from BRPOP, or ''
-- ARGV[10] priority of the list it came from
-- ARGV[11..] the model of each queue in KEYS
--
-- Returns  {model or '', {id, data or false, attempt, longest run in ms or '', the same of the next job, …}}

local limit, lease_ms, worker, token = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local job_ttl_ms, result_ttl_ms, inline_bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local popped, popped_priority = ARGV[9], ARGV[10]
local claim_key = prefix .. 'claim:' .. token
local now = now_ms()
local claimed, reply, events = {}, {}, {}

local function data_of(id)
  local data_key = job_key(id, 'data')
  local length = redis.call('STRLEN', data_key)
  if length > inline_bytes then return length, false end
  return length, redis.call('GET', data_key)
end

local function add(id, data, attempt, timeout_ms)
  reply[#reply + 1] = id
  reply[#reply + 1] = data
  reply[#reply + 1] = attempt
  reply[#reply + 1] = tonumber(timeout_ms) or ''
end

local previous = redis.call('LRANGE', claim_key, 0, -1)
if #previous > 0 then
  for i = 2, #previous do
    local id = previous[i]
    local meta = redis.call('HMGET', job_key(id, 'meta'), 'state', 'token', 'attempts', 'timeout_ms')
    if meta[1] == 'leased' and meta[2] == token then
      local _, data = data_of(id)
      add(id, data, tonumber(meta[3]), meta[4])
    end
  end
  return {previous[1], reply}
end

-- A job that an outside producer pushed: only its data is sure to exist.
local function adopt(queue, model, id, priority)
  local status_key = job_key(id, 'status')
  local status = redis.call('GET', status_key)
  if status == 'completed' or status == 'failed' then return false end
  redis.call('HSET', job_key(id, 'meta'), 'state', 'queued', 'model', model, 'priority', priority,
    'sequence', 0, 'attempts', 0, 'failures', 0, 'submitted_ms', now)
  for _, part in ipairs({'meta', 'data'}) do redis.call('PEXPIRE', job_key(id, part), job_ttl_ms + result_ttl_ms) end
  redis.call('SET', status_key, 'pending', 'PX', job_ttl_ms + result_ttl_ms)
  redis.call('ZADD', open_key(queue, priority), 0, id)
  return true
end

-- Whether an outside producer has set the data of an ended job anew: ours is removed or expires.
local function is_resubmitted(id)
  local ttl = redis.call('PTTL', job_key(id, 'data'))
  return ttl == -1 or (ttl > 0 and redis.call('GET', job_key(id, 'status')) ~= 'failed')
end

-- Leases one id taken from a list. Returns whether to go on taking.
local function take(queue, model, id, list_priority)
  local meta_key = job_key(id, 'meta')
  local meta = redis.call('HMGET', meta_key, 'state', 'alone', 'priority', 'model', 'submitted_ms', 'timeout_ms')
  local state, alone, priority = meta[1], meta[2] == '1', meta[3] or list_priority
  if state == 'ended' and is_resubmitted(id) then
    for _, part in ipairs({'meta', 'status', 'result', 'error'}) do redis.call('UNLINK', job_key(id, part)) end
    redis.call('ZREM', queue .. ':dead', id)
    state, alone, priority, meta = nil, false, list_priority, {}
  end
  if not state then
    if not adopt(queue, model, id, priority) then return true end
  elseif state ~= 'queued' or meta[4] ~= model then
    return true -- ended or running already: the id was in the list twice
  end
  local ended = close_if_ended_outside(queue, id, priority, result_ttl_ms, now)
  if ended then
    events[#events + 1] = id .. ':' .. ended
    return true
  end
  if alone and #claimed > 0 then
    redis.call('RPUSH', list_key(queue, priority), id)
    return false
  end
  local length, data = data_of(id)
  local too_late = meta[5] and now - tonumber(meta[5]) > job_ttl_ms
  if length == 0 or too_late then
    local message = too_late and expired_message(job_ttl_ms) or
      'The job has no data: it expired, or its producer pushed the id before it set job:' .. id ..
      ':data. Submit it again.'
    fail_job(queue, id, priority, result_ttl_ms, now, 'expired', message)
    events[#events + 1] = id .. ':failed'
    return true
  end
  local attempt = redis.call('HINCRBY', meta_key, 'attempts', 1)
  redis.call('HSET', meta_key, 'state', 'leased', 'token', token, 'worker', worker, 'started_ms', now)
  redis.call('HDEL', meta_key, 'missing_ms')
  redis.call('SET', job_key(id, 'status'), 'processing', 'KEEPTTL')
  redis.call('ZADD', queue .. ':leases', now + lease_ms, id)
  claimed[#claimed + 1] = id
  add(id, data, attempt, meta[6])
  return not alone
end

-- An outside producer may have written anything under its ids; what cannot be read must not stop the queue.
local function take_safely(queue, model, id, list_priority)
  local is_fine, answer = pcall(take, queue, model, id, list_priority)
  if is_fine then return answer end
  if claimed[#claimed] == id then return true end -- it had been leased before something failed
  redis.call('DEL', job_key(id, 'meta'))
  fail_job(queue, id, list_priority, result_ttl_ms, now, 'invalid-input',
    'The keys of this job cannot be read. Expected job:' .. id .. ':data and :status as strings, and no :meta.')
  redis.call('HSET', job_key(id, 'meta'), 'model', model, 'priority', list_priority)
  events[#events + 1] = id .. ':failed'
  return true
end

-- Ids that turn out to be no job cost a look each; this bounds how many one call may spend.
local looks = 4 * limit + 16

local function take_from(queue, model)
  for _, priority in ipairs(PRIORITIES) do
    local list = list_key(queue, priority)
    while #claimed < limit and looks > 0 do
      looks = looks - 1
      local id = redis.call('RPOP', list)
      if not id then break end
      if not take_safely(queue, model, id, priority) then return end
    end
  end
end

local function first_waiting()
  for _, priority in ipairs(PRIORITIES) do
    for i, queue in ipairs(KEYS) do
      if redis.call('EXISTS', list_key(queue, priority)) == 1 then return i end
    end
  end
end

local model = ''
if popped ~= '' then
  model = ARGV[11]
  if take_safely(KEYS[1], model, popped, popped_priority) then take_from(KEYS[1], model) end
else
  while #claimed == 0 and looks > 0 do
    local i = first_waiting()
    if not i then break end
    model = ARGV[10 + i]
    take_from(KEYS[i], model)
  end
end

if #claimed > 0 then
  redis.call('RPUSH', claim_key, model, unpack(claimed))
  redis.call('PEXPIRE', claim_key, lease_ms)
end
publish(events)
return {model, reply}
