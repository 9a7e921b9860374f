#!lua flags=no-writes,allow-oom
-- Reads jobs, whoever submitted and whoever ended them. A key of a wrong type counts as absent.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  largest result handed out here, bytes; the caller fetches what is larger
-- ARGV[3…] job ids
--
-- Returns  for each job: {status, result (or its length where it is too large), error, whether its data is there (1 or 0),
--          meta as names and values, and while it waits: 1 for the next job to be taken}; false for what is absent, or
--          says nothing in view of the status

local inline_bytes = tonumber(ARGV[2])

local function result_of(id)
  local key = job_key(id, 'result')
  local result = look('GETRANGE', key, 0, inline_bytes)
  if result == '' then return look('GET', key) end -- it is absent, or empty
  return result and #result > inline_bytes and call('STRLEN', key) or result
end

-- How many jobs are taken before a waiting one, itself included.
local function position_of(id, model, priority)
  local queue, ahead = queue_key(model), 0
  for _, higher in ipairs(PRIORITIES) do
    if higher == priority then break end
    ahead = ahead + (look('LLEN', list_key(queue, higher)) or 0)
  end
  local rank = look('ZRANK', open_key(queue, priority), id)
  if not rank then
    local found = look('LPOS', list_key(queue, priority), id, 'RANK', -1, 'MAXLEN', 10000)
    return found and ahead + (look('LLEN', list_key(queue, priority)) or 0) - found
  end
  -- jobs that are open but not in the list are running or waiting for a retry, and nearly all of them are older
  local length = look('LLEN', list_key(queue, priority)) or 0
  local absent = math.max(0, (look('ZCARD', open_key(queue, priority)) or 0) - length)
  return ahead + math.min(math.max(1, rank + 1 - absent), math.max(1, length))
end

local function place_of(id, fields)
  local meta = {}
  for i = 1, #fields, 2 do meta[fields[i]] = fields[i + 1] end
  return meta.model ~= nil and position_of(id, meta.model, meta.priority or 'normal')
end

local function read(id, status)
  local fields = look('HGETALL', job_key(id, 'meta')) or {}
  if status == 'processing' then return {status, false, false, 1, fields, false} end
  if status == 'pending' then return {status, false, false, 1, fields, place_of(id, fields)} end
  if status == 'completed' then return {status, result_of(id), false, 1, fields, false} end
  local fault = look('GET', job_key(id, 'error'))
  if status == 'failed' then return {status, false, fault, 1, fields, false} end
  return {status, result_of(id), fault, call('EXISTS', job_key(id, 'data')), fields, place_of(id, fields)}
end

local keys, answers = {}, {}
for i = 3, #ARGV do keys[i - 2] = job_key(ARGV[i], 'status') end
for i, status in ipairs(#keys > 0 and call('MGET', unpack(keys)) or {}) do answers[i] = read(ARGV[i + 2], status) end
return answers
