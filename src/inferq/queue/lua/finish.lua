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
-- Returns  verdicts, and after each how many jobs in a row got it: 'completed', 'late' (completed, though the lease had passed
--          on), 'failed', 'retrying', 'released', or 'stale' (nothing changed: somebody else has it, or it had ended)

--- @include "attempts"
--- @include "base"
--- @include "clock"
--- @include "drain_rate"
--- @include "events"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leases"
--- @include "lifecycle"
--- @include "many_arguments"
--- @include "record_batch"
--- @include "records"
--- @include "retention"

local ttl_ms, max_failures = ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local ended_ms = format_int(now)
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
    group = {queue = queue, open = open_key(queue, priority), ids = {}, count = 0}
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

-- Writes the end of a job, unless an outside worker has ended it. Returns whether it has completed by this.
local function complete(id, base, model, priority, token, payload)
  local status_key = base .. 'status'
  local status = redis.pcall('SET', status_key, 'completed', 'PX', ttl_ms, 'GET')
  if status == 'completed' or status == 'failed' then
    call('SET', status_key, status, 'PX', ttl_ms)
    return false
  end
  if type(status) == 'table' then call('SET', status_key, 'completed', 'PX', ttl_ms) end -- it was no string
  store_result(base, token, payload)
  gone[gone_count + 1], gone[gone_count + 2] = base .. 'data', base .. 'error'
  gone_count = gone_count + 2
  local group = group_of(model, priority)
  local count = group.count + 1
  group.count, group.ids[count] = count, id
  return true
end

-- The record of a job that runs for the first time, and about which nothing needs a closer look: from the number of attempts
-- on, its token, model and priority.
local PLAIN = '^leased||(%d+|%d+|([^|]*)|[^|]*|[^|]*|%d+|([^|]*)|(%a+)|%d+|%d*|[^|]*|(%d*)|)$'
local ended_head = 'ended|' .. ended_ms .. '|'
local is_read = {} -- by id
local freed_bytes = 0 -- of plain jobs
local released, released_from = {}, nil -- plain jobs of one claim, which leave its lease together, and their model

-- Settles a job that has completed and is plain, in the way of `settle`. Returns whether it did.
local function settle_plain(id, token, payload, record)
  local rest, leased_by, model, priority, bytes = record:match(PLAIN)
  local base = job_key(id, '')
  if leased_by ~= token or not has_result(base, token, payload) then return false end
  if not complete(id, base, model, priority, token, payload) then return false end
  add_record(id, ended_head .. rest)
  freed_bytes = freed_bytes + (tonumber(bytes) or 0)
  released[#released + 1], released_from = id, model
  return true
end

local function give_back(queue, id, job, state)
  end_lease(queue, job.token, {id})
  job.state, job.token = state, nil
  save_job(id, job)
  call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  events[#events + 1] = id .. ':pending'
end

local function settle(id, token, verdict, payload, kind, delay_ms)
  local base = job_key(id, '')
  write_records()
  local job = read_job(id)
  if not job or job.state == 'ended' then return 'stale' end
  local leased = job.state == 'leased' and job.token == token
  local queue, attempts = queue_key(job.model), tonumber(job.attempts) or 0
  if verdict == 'completed' then
    if not has_result(base, token, payload) then return 'stale' end
    if complete(id, base, job.model, job.priority, token, payload) then
      end_job(queue, id, job, ttl_ms, now)
      return leased and 'completed' or 'late'
    end
  end
  local ended_outside = notice_outside_end(queue, id, job, ttl_ms, now)
  if ended_outside then
    events[#events + 1] = id .. ':' .. ended_outside
    return 'stale'
  end
  if not leased then return 'stale' end
  if verdict == 'released' then
    job.attempts = attempts - 1
    give_back(queue, id, job, 'queued')
    call('RPUSH', list_key(queue, job.priority), id)
    return 'released'
  end
  record_attempt(job, now, kind, payload)
  job.failures = (job.failures or 0) + 1
  if verdict == 'retry' and job.failures < max_failures then
    job.error_kind = kind
    give_back(queue, id, job, 'retrying')
    call('ZADD', queue .. ':retries', now + delay_ms, id)
    return 'retrying'
  end
  if attempts > 1 then payload = payload .. ' (after ' .. attempts .. ' attempts)' end
  fail_job(queue, id, job, ttl_ms, now, kind, payload)
  ended[queue] = (ended[queue] or 0) + 1
  events[#events + 1] = id .. ':failed'
  return 'failed'
end

-- The records of jobs that have completed, by their places among the arguments: one each, should a job be there twice.
local function records_of(first, last)
  local ids, places, found = {}, {}, {}
  for at = first, last, 2 do
    local id = ARGV[at]
    if not is_read[id] then
      ids[#ids + 1], places[#places + 1], is_read[id] = id, at, true
    end
  end
  for k, record in ipairs(#ids > 0 and call('HMGET', RECORDS, unpack(ids)) or {}) do found[places[k]] = record end
  return found
end

check_records()
local i, last_answer = 4, -1
while i <= #ARGV do
  local verdict, token, width = ARGV[i], ARGV[i + 1], ARGV[i] == 'completed' and 2 or 4
  local first, last = i + 3, i + 2 + width * tonumber(ARGV[i + 2])
  local before = verdict == 'completed' and records_of(first, last) or {}
  for at = first, last, width do
    local id, payload, kind, delay_ms = ARGV[at], ARGV[at + 1], nil, nil
    if width == 4 then kind, delay_ms = ARGV[at + 2], tonumber(ARGV[at + 3]) end
    if kind == 'result-too-large' then
      redis.pcall('UNLINK', job_key(id, 'result') .. ':' .. token) -- it may have come, though nobody heard of it
    elseif payload == '' then
      gone_count = gone_count + 1
      gone[gone_count] = job_key(id, 'result') .. ':' .. token
    end
    -- what any program may have made of a job's keys must not keep the others from being settled: recovery sees to it
    local is_fine, answer = true, 'completed'
    if not (before[at] and settle_plain(id, token, payload, before[at])) then
      is_fine, answer = pcall(settle, id, token, verdict, payload, kind, delay_ms)
    end
    answer = is_fine and answer or 'stale'
    if answer ~= answers[last_answer] then
      last_answer = last_answer + 2
      answers[last_answer], answers[last_answer + 1] = answer, 0
    end
    answers[last_answer + 1] = answers[last_answer + 1] + 1
  end
  if #released > 0 then
    end_lease(queue_key(released_from), token, released)
    released = {}
  end
  i = last + 1
end
write_records()
add_held_bytes(-freed_bytes)
call_with_many(gone, 'UNLINK')
for _, of_model in pairs(groups) do
  for _, group in pairs(of_model) do
    local queue, ids = group.queue, group.ids
    if group.count > 0 then
      call('ZREM', group.open, unpack(ids))
      index_completed(queue, ids, now)
      purge_ended(queue .. ':completed', true, now - ttl_ms, 0, 2, 1000)
      ended[queue] = (ended[queue] or 0) + group.count
      events[#events + 1] = table.concat(ids, ':completed,') .. ':completed'
    end
  end
end
for queue, count in pairs(ended) do count_ended(queue, count) end
publish(events)
return answers
