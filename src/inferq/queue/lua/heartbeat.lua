#!lua flags=allow-oom
-- Reports that a worker lives, announces again the models that Redis has lost, and removes announcements of models that no
-- worker has had for long. Time in which no worker reported does not count.
--
-- KEYS[1]  workers
-- ARGV[1]  key prefix
-- ARGV[2]  worker id
-- ARGV[3]  lifetime of the report, ms
-- ARGV[4]  how long no worker must have had a model, ms
-- ARGV[5]  number n of fields of the report
-- ARGV[6…] n field names and values, then pairs of model name and document
--
-- Returns  the generation of the model repository, see `generation`

--- @include "base"
--- @include "clock"
--- @include "generation"

local id, ttl_ms, grace_ms, fields = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
local MOST_WORKERS, MOST_REMOVED = 1000, 100
local SMALL_STEP_MS = 1000
local worker_key = prefix .. 'worker:' .. id
local report = {'seen_ms', now}
for i = 6, 5 + 2 * fields do report[#report + 1] = ARGV[i] end

local models, had = prefix .. 'models', prefix .. 'models:seen'
local seen_ms = tonumber(read_safely('GET', prefix .. 'workers:seen') or '')
-- all workers were away, or the clock was set
local is_anew = not seen_ms or math.abs(now - seen_ms) > ttl_ms

local function note_models()
  local scores = {}
  for _, name in ipairs(call('HKEYS', models)) do scores[#scores + 1], scores[#scores + 2] = now, name end
  if #scores > 0 and is_anew then
    call('ZADD', had, unpack(scores))
  elseif #scores > 0 then
    call('ZADD', had, 'NX', unpack(scores))
  end
  for i = 6 + 2 * fields, #ARGV, 2 do call('ZADD', had, now, ARGV[i]) end
  call('PEXPIRE', had, 2 * grace_ms)
end

local function find_served()
  local names = {}
  for _, worker in ipairs(call('ZRANGE', KEYS[1], 0, MOST_WORKERS - 1)) do
    for name in (read_safely('HGET', prefix .. 'worker:' .. worker, 'models') or ''):gmatch('%S+') do names[name] = true end
  end
  return names
end

local function remove_models()
  local due = call('ZRANGEBYSCORE', had, '-inf', now - grace_ms, 'LIMIT', 0, MOST_REMOVED)
  local names = #due > 0 and find_served()
  for _, name in ipairs(due) do
    if names[name] then -- of a worker that does not report this
      call('ZADD', had, now, name)
    else
      call('HDEL', models, name)
      call('ZREM', had, name)
    end
  end
end

call('HSET', worker_key, unpack(report))
call('PEXPIRE', worker_key, ttl_ms)
call('ZADD', KEYS[1], now, id)
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl_ms)
call('ZREMRANGEBYSCORE', KEYS[1], now + ttl_ms, '+inf')
call('SET', prefix .. 'workers:seen', now)
if seen_ms and seen_ms - now > SMALL_STEP_MS then -- the clock was set back: what is due goes back with it
  local webhooks = prefix .. 'webhooks'
  for _, id in ipairs(read_safely('ZRANGEBYSCORE', webhooks, now, '+inf') or {}) do
    call('ZINCRBY', webhooks, now - seen_ms, id)
  end
end
for i = 6 + 2 * fields, #ARGV, 2 do
  call('HSETNX', models, ARGV[i], ARGV[i + 1])
end
pcall(note_models)
pcall(remove_models)
return read_generation()
