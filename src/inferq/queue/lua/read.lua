#!lua flags=no-writes,allow-oom
-- Reads jobs, also those that outside programs submitted or ended. A key of a wrong type counts as absent.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  largest result handed out here, bytes; the caller fetches what is larger
-- ARGV[3…] job ids
--
-- Returns  for each job: {status, result (or its length where it is too large), error, whether its data is there (1 or 0),
--          record, and while it waits: 1 for the next job to be taken; while it runs: how far it is, if it is a large job};
--          false for what is absent, or says nothing in view of the status

--- @include "base"
--- @include "keys"
--- @include "record_codec"
--- @include "record_layout"

local inline_bytes = tonumber(ARGV[2])

local function read_result(id)
  local key = job_key(id, 'result')
  local result = read_safely('GETRANGE', key, 0, inline_bytes)
  if result == '' then return read_safely('GET', key) end -- it is absent, or empty
  return result and #result > inline_bytes and call('STRLEN', key) or result
end

-- How many jobs are taken before a waiting one, itself included.
local function count_ahead(id, model, priority)
  local queue, ahead = queue_key(model), 0
  for _, higher in ipairs(PRIORITIES) do
    if higher == priority then break end
    ahead = ahead + (read_safely('LLEN', list_key(queue, higher)) or 0)
  end
  local rank = read_safely('ZRANK', open_key(queue, priority), id)
  if not rank then
    local found = read_safely('LPOS', list_key(queue, priority), id, 'RANK', -1, 'MAXLEN', 10000)
    return found and ahead + (read_safely('LLEN', list_key(queue, priority)) or 0) - found
  end
  -- jobs that are open but not in the list are running or waiting for a retry, and nearly all of them are older
  local length = read_safely('LLEN', list_key(queue, priority)) or 0
  local absent = math.max(0, (read_safely('ZCARD', open_key(queue, priority)) or 0) - length)
  return ahead + math.min(math.max(1, rank + 1 - absent), math.max(1, length))
end

local function find_position(id, record)
  local is_fine, job = pcall(parse_record, record or '')
  return is_fine and job.model ~= nil and count_ahead(id, job.model, job.priority or 'normal')
end

local function read(id, status, record)
  if status == 'processing' then return {status, false, false, 1, record, read_safely('GET', job_key(id, 'progress'))} end
  if status == 'pending' then return {status, false, false, 1, record, find_position(id, record)} end
  if status == 'completed' then return {status, read_result(id), false, 1, record, false} end
  local fault = read_safely('GET', job_key(id, 'error'))
  if status == 'failed' then return {status, false, fault, 1, record, false} end
  if not status and record and record:find(IS_ENDED) then record = false end -- its time is over
  return {status, read_result(id), fault, call('EXISTS', job_key(id, 'data')), record, find_position(id, record)}
end

local keys, answers = {}, {}
for i = 3, #ARGV do keys[i - 2] = job_key(ARGV[i], 'status') end
if #keys == 0 then return answers end
local records = call('HMGET', RECORDS, unpack(ARGV, 3)) -- an error where the hash is corrupt, as it tells the owners
for i, status in ipairs(call('MGET', unpack(keys))) do answers[i] = read(ARGV[i + 2], status, records[i]) end
return answers
