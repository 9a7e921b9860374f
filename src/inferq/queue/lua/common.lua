-- Shared by every script: time, key names, and the ways a job changes state.
-- ARGV[1] is always the key prefix.

local prefix = ARGV[1]
local call = redis.call
local PRIORITIES = {'high', 'normal', 'low'}

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A whole number as Redis writes it. Lua's own way to pass numbers, with 17 digits, costs more than most commands.
local function text(number)
  return string.format('%d', number)
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

-- Lists are first in, first out, so what was popped is older than the present tail. Returns below which score the index of
-- open jobs may have such a job; nil if that cannot be told, as the tail came from outside.
local function first_not_popped(queue, priority)
  local tail = call('LINDEX', list_key(queue, priority), -1)
  if not tail then return '+inf' end
  local sequence = call('ZSCORE', open_key(queue, priority), tail)
  return sequence and '(' .. sequence
end

-- Calls a command that reads; false where the key is of a wrong type, which any program may have written.
local function look(...)
  local answer = redis.pcall(...)
  return not (type(answer) == 'table' and answer.err) and answer
end

-- How many jobs wait for a model; or nil, and which of the keys that a job goes into holds what no part of inferq has written.
local function depth_of(queue, priority)
  local depth, open, sequence = 0, open_key(queue, priority), queue .. ':sequence'
  for _, each in ipairs(PRIORITIES) do
    local waiting = look('LLEN', list_key(queue, each))
    if not waiting then return nil, list_key(queue, each) end
    depth = depth + waiting
  end
  if not look('ZCARD', open) then return nil, open end
  local last = redis.pcall('GET', sequence)
  if last and not (type(last) == 'string' and last:match('^%d+$')) then return nil, sequence end
  return depth
end

-- Calls a command with any number of further arguments, an even number of them at a time: Lua passes a few thousand.
local function call_with_many(command, key, arguments)
  for first = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, first, math.min(first + 999, #arguments)))
  end
end

-- Writes, and changes nothing: whoever waits for the disk after a repeated submit waits for the first one too.
local function touch(id)
  local meta = job_key(id, 'meta')
  call('PEXPIRE', meta, call('PTTL', meta))
end

-- The answer that an earlier submit with the same key stands for; nil if there was none whose job is still known, or one
-- of those in `is_new`, which this call makes.
local function earlier(idempotency, is_new)
  local kept = call('GET', prefix .. 'idempotency:' .. idempotency.key)
  if not kept then return nil end
  local fingerprint, ids = kept:match('^(%x+):(.*)$')
  local first = ids:match('^[^,]*')
  if not is_new[first] and call('EXISTS', job_key(first, 'meta')) == 0 then return nil end
  if fingerprint ~= idempotency.fingerprint then return {'conflict'} end
  if not is_new[first] then touch(first) end
  return {'same', ids}
end

local function remember(idempotency, ids)
  call('SET', prefix .. 'idempotency:' .. idempotency.key, idempotency.fingerprint .. ':' .. ids, 'PX',
    idempotency.ttl_ms)
end

local OPTIONS = {'timeout_ms', 'owner', 'webhook'}

-- A new job's keys, but for its place in any index. Data that does not come with it may be large. Attempts and failures are
-- none yet. PSETEX does what SET with PX does, faster.
local function store_job(id, model, priority, data, options, state, sequence, ttl_ms, now)
  local meta = job_key(id, 'meta')
  if data ~= '' then call('PSETEX', job_key(id, 'data'), ttl_ms, data) end
  call('PSETEX', job_key(id, 'status'), ttl_ms, 'pending')
  call('HSET', meta, 'state', state, 'model', model, 'priority', priority, 'sequence', sequence,
    'submitted_ms', now)
  if data == '' then call('HSET', meta, 'is_large', '1') end
  for _, name in ipairs(OPTIONS) do
    if options[name] then call('HSET', meta, name, options[name]) end
  end
  call('PEXPIRE', meta, ttl_ms)
end

-- How many completed jobs of a model can be listed: more would cost memory for what nobody pages through.
local MOST_COMPLETED = 10000
-- At most how many entries make room for a new one, which is one at least.
local MOST_ROOM = 4

-- How many jobs of the model had completed when an entry of the index was made, these included.
local function completed_by(entry)
  return tonumber(entry:match('^%d+')) or 0
end

-- Notes jobs that completed at the same time, in one entry: that count, and the ids as JSON. An entry for each would cost
-- as much as to store its result. It stays when a job of it is deleted or begins anew: by its time the reader can tell.
local function list_completed(queue, ids, now, ttl_ms)
  local index = queue .. ':completed'
  local newest = call('ZREVRANGE', index, 0, 0)[1]
  local count = (newest and completed_by(newest) or 0) + #ids
  call('ZADD', index, text(now), text(count) .. cjson.encode(ids))
  for _ = 1, MOST_ROOM do
    if completed_by(call('ZRANGE', index, 0, 0)[1]) > count - MOST_COMPLETED then break end
    call('ZPOPMIN', index)
  end
  call('PEXPIRE', index, ttl_ms)
end

-- Puts the report of a job's end in line, where its request asked for one.
local function report_end(id, now)
  call('ZADD', prefix .. 'webhooks', now, id)
end

-- Programs from outside that push or run a model's jobs leave traces. For so long after one, nothing is guessed that holds
-- only where there are none.
local SHARED_MS = 60000

local function note_outside(queue)
  call('SET', queue .. ':outside', '1', 'PX', SHARED_MS)
end

local function is_shared(queues)
  local traces = {}
  for i, queue in ipairs(queues) do traces[i] = queue .. ':outside' end
  return call('EXISTS', unpack(traces)) > 0
end

-- Takes the job out of every index and gives its keys the lifetime of an ended job.
local function close_job(queue, id, priority, ttl_ms, now)
  call('ZREM', queue .. ':leases', id)
  call('ZREM', queue .. ':retries', id)
  call('ZREM', open_key(queue, priority), id)
  call('HSET', job_key(id, 'meta'), 'state', 'ended', 'ended_ms', now)
  call('PEXPIRE', job_key(id, 'meta'), ttl_ms)
  if call('HEXISTS', job_key(id, 'meta'), 'webhook') == 1 then report_end(id, now) end
end

-- The data stays, so that a failed job can be looked into and tried again.
local function fail_job(queue, id, priority, ttl_ms, now, kind, message)
  call('SET', job_key(id, 'error'), message, 'PX', ttl_ms)
  call('SET', job_key(id, 'status'), 'failed', 'PX', ttl_ms)
  call('PEXPIRE', job_key(id, 'data'), ttl_ms)
  call('HSET', job_key(id, 'meta'), 'error_kind', kind)
  close_job(queue, id, priority, ttl_ms, now)
  call('ZADD', queue .. ':dead', now, id)
end

-- Any program may have written anything under a job's keys: what cannot be read fails, so that the queue goes on.
local function fail_unreadable(queue, model, id, priority, ttl_ms, now)
  call('DEL', job_key(id, 'meta'))
  fail_job(queue, id, priority, ttl_ms, now, 'invalid-input', 'The keys of this job cannot be read. Expected job:' ..
    id .. ':data and :status as strings, and no :meta but what inferq wrote.')
  call('HSET', job_key(id, 'meta'), 'model', model, 'priority', priority)
end

-- An outside worker ends a job by writing its result and status; the rest of the bookkeeping is done here. Returns that
-- status, or false: it has not ended the job.
local function close_if_ended_outside(queue, id, priority, ttl_ms, now)
  local status = redis.pcall('GET', job_key(id, 'status'))
  if status ~= 'completed' and status ~= 'failed' then return false end
  note_outside(queue)
  close_job(queue, id, priority, ttl_ms, now)
  if status == 'completed' then call('UNLINK', job_key(id, 'data')) end
  for _, part in ipairs({'data', 'status', 'result', 'error'}) do call('PEXPIRE', job_key(id, part), ttl_ms) end
  if status == 'failed' then call('ZADD', queue .. ':dead', now, id) else list_completed(queue, {id}, now, ttl_ms) end
  return status
end

local function expired_message(ttl_ms)
  return string.format('The job waited longer than %g s (INFERQ_JOB_TTL) and was not run. Submit it again.', ttl_ms / 1000)
end

-- Writes down how the present attempt ended without success.
local function record_attempt(id, now, kind, reason)
  local meta_key = job_key(id, 'meta')
  local meta = call('HMGET', meta_key, 'attempts', 'started_ms', 'worker')
  call('HSET', meta_key, 'attempt:' .. (meta[1] or '0'), cjson.encode({
    started_ms = tonumber(meta[2]), ended_ms = now, worker = meta[3] or '', kind = kind, reason = reason}))
end

-- How many jobs of a queue end per second: a mean that forgets with a time constant of 10 s.
local RATE_MS = 10000

local function drain_rate(queue, now)
  local kept = look('HMGET', queue .. ':rate', 'at_ms', 'per_second')
  if not (kept and tonumber(kept[1]) and tonumber(kept[2])) then return 0 end
  return tonumber(kept[2]) * math.exp((tonumber(kept[1]) - now) / RATE_MS)
end

local function count_ended(queue, ended, now)
  local rate = drain_rate(queue, now) + ended * 1000 / RATE_MS
  call('HSET', queue .. ':rate', 'at_ms', now, 'per_second', string.format('%.6f', rate))
end

local function publish(events)
  if #events > 0 then
    call('PUBLISH', prefix .. 'events', table.concat(events, ','))
  end
end
