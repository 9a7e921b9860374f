#!lua flags=allow-oom
-- Ends, or requeues, jobs that this worker ran. The first success decides, once; a failure needs the lease.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of an ended job, ms
-- ARGV[3]  most charged failures of a job
-- ARGV[4…] for jobs that follow each other with the same verdict, token, provenance and run:
--   verdict      completed, failed (for good), retry (after the delay, if failures are left), requeued (not charged),
--                deferred (the same, after the delay: this worker cannot read the data where it lies)
--   token
--   provenance of the run; '' where it is that of the claim
--   µs that their run took, jobs that shared it, and of how many such runs the first job is here; all 0 if they never ran
--   number of these jobs, and for each:
--     id
--     payload    the result ('' if staged under job:{id}:result:{token}); or the error message
--     and, unless it has completed: error kind; delay, ms
--
-- Returns  verdicts, and after each how many jobs in a row got it: 'completed', 'late' (completed, though the lease had passed
--          on), 'failed', 'retrying', 'requeued', 'deferred', or 'stale' (nothing changed: another worker has it, or it had
--          ended); then, if any, ends that a worker from outside has made, see `ends`

--- @include "attempts"
--- @include "base"
--- @include "clock"
--- @include "counters"
--- @include "ends"
--- @include "events"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leases"
--- @include "list_removal"
--- @include "many_arguments"
--- @include "observations"
--- @include "record_batch"
--- @include "record_layout"
--- @include "retention"

local ttl_ms, max_failures = ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local ended_ms = format_int(now)
local answers = {}
local gone, gone_count = {}, 0 -- keys that are removed
local groups = {} -- of jobs that complete here, by model and priority

local function add_to_group(model, priority, id)
  local of_model = groups[model] or {}
  groups[model] = of_model
  local group = of_model[priority]
  if not group then
    local queue = queue_key(model)
    group = {queue = queue, open = open_key(queue, priority), ids = {}, count = 0}
    of_model[priority] = group
  end
  local count = group.count + 1
  group.count, group.ids[count] = count, id
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

-- Stores status and result of a job that has completed, unless an outside worker has ended it. Returns whether it did.
local function complete(base, token, payload)
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
  return true
end

local ended_head = ENDED_HEAD:format(ended_ms)
local is_read = {} -- by id
local freed_bytes = 0 -- of plain jobs
-- Plain jobs of one claim, which leave its lease together: their ids, their model, their start, and how many were submitted when.
local plain, plain_model, plain_started_ms, plain_submitted = {}, nil, nil, {}
local ran_for, ran_queue = {}, nil -- of runs that took the same time: how many jobs of which owner have been settled here, and their queue

local function note_run(queue, owner)
  ran_for[owner], ran_queue = (ran_for[owner] or 0) + 1, queue
end

-- Ends a job that has completed and whose record is plain, as `finish_job` would. Returns whether it did.
local function finish_plain(id, token, made_by, payload, record)
  local rest, started_ms, leased_by, model, priority, submitted_ms, owner, bytes = record:match(PLAIN_LEASED)
  local base = job_key(id, '')
  if leased_by ~= token or not has_result(base, token, payload) or not complete(base, token, payload) then return false end
  if made_by ~= '' then
    local before, after = rest:match(AROUND_VERSION)
    rest = before .. made_by .. after
  end
  add_record(id, ended_head .. rest)
  add_to_group(model, priority, id)
  freed_bytes = freed_bytes + (tonumber(bytes) or 0)
  plain[#plain + 1], plain_model, plain_started_ms = id, model, started_ms
  plain_submitted[submitted_ms] = (plain_submitted[submitted_ms] or 0) + 1
  ran_for[owner] = (ran_for[owner] or 0) + 1
  return true
end

local function requeue(queue, id, job, state)
  end_lease(queue, job.token, {id})
  job.state, job.token = state, nil
  save_job(id, job)
  call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  add_event(id, 'pending')
end

-- Ends the lease of the plain jobs, and observes their ends.
local function settle_plain(token)
  if #plain == 0 then return end
  ran_queue = queue_key(plain_model)
  end_lease(ran_queue, token, plain)
  for submitted_ms, number in pairs(plain_submitted) do
    observe_ends(ran_queue, tonumber(submitted_ms), tonumber(plain_started_ms), now, number)
  end
  plain, plain_submitted = {}, {}
end

local LOST_KINDS = {crashed = true, cancelled = true} -- how an attempt ended that was not ended by its worker

-- The attempt that a worker ends though it has lost it; nil if that is none.
local function find_lost(job, token)
  for name, attempt in pairs(job) do
    if name:find('^attempt:') and attempt.token == token and LOST_KINDS[attempt.kind] then return attempt end
  end
  return nil
end

-- Notes that a worker has reported such an attempt. Returns whether that is so, and was not reported before.
local function note_lost(job, token)
  local lost = find_lost(job, token)
  if not lost or lost.is_reported then return false end
  lost.is_reported = '1'
  return true
end

local IS_UNCHARGED = {requeued = true, deferred = true} -- the attempt has not begun

-- Answers an end that changes nothing, and counts it: once, however often it is repeated.
local function answer_stale(id, job, token, verdict, was_held)
  if not IS_UNCHARGED[verdict] and (was_held or note_lost(job, token)) then
    save_job(id, job)
    add_count(queue_key(job.model), 'stale', 1)
  end
  return 'stale'
end

local function finish_job(id, token, verdict, made_by, payload, kind, delay_ms)
  local base = job_key(id, '')
  write_records()
  local job = read_job(id)
  if not job then return 'stale' end
  local is_held = job.state == 'leased' and job.token == token
  local queue, attempts = queue_key(job.model), tonumber(job.attempts) or 0
  if job.state == 'ended' then return answer_stale(id, job, token, verdict, false) end
  if verdict == 'completed' then
    if not has_result(base, token, payload) then return 'stale' end
    if complete(base, token, payload) then
      job.error_kind = nil -- of an attempt before
      if not is_held then
        note_lost(job, token)
        if made_by == '' then made_by = (find_lost(job, token) or {}).version or '' end
      end
      if made_by ~= '' then job.version = made_by end
      local is_listed = job.state == 'queued'
      record_end(queue, id, job, ttl_ms, now)
      if is_listed then remove_from_list(queue, id, job.priority) end
      add_to_group(job.model, job.priority, id)
      observe_end(queue, job, now)
      note_run(queue, job.owner or '')
      if is_held then return 'completed' end
      add_count(queue, 'late', 1)
      return 'late'
    end
  end
  if notice_outside_end(queue, id, job, ttl_ms, now) or not is_held then
    return answer_stale(id, job, token, verdict, is_held)
  end
  if verdict == 'requeued' then
    job.attempts = attempts - 1
    requeue(queue, id, job, 'queued')
    call('RPUSH', list_key(queue, job.priority), id)
    return 'requeued'
  end
  if verdict == 'deferred' then
    job.attempts = attempts - 1
    requeue(queue, id, job, 'retrying')
    call('ZADD', queue .. ':retries', now + delay_ms, id)
    return 'deferred'
  end
  if made_by ~= '' then job.version = made_by end
  record_attempt(job, now, kind, payload)
  note_run(queue, job.owner or '')
  job.failures = (job.failures or 0) + 1
  if verdict == 'retry' and job.failures < max_failures then
    job.error_kind = kind
    requeue(queue, id, job, 'retrying')
    call('ZADD', queue .. ':retries', now + delay_ms, id)
    add_count(queue, 'retries', 1)
    return 'retrying'
  end
  if attempts > 1 then payload = payload .. ' (after ' .. attempts .. ' attempts)' end
  fail_job(queue, id, job, ttl_ms, now, kind, payload, true)
  observe_end(queue, job, now)
  return 'failed'
end

-- The records of jobs that have completed, by their index in ARGV: one each, should a job be there twice.
local function read_records(first, last)
  local ids, indexes, found = {}, {}, {}
  for i = first, last, 2 do
    local id = ARGV[i]
    if not is_read[id] then
      ids[#ids + 1], indexes[#indexes + 1], is_read[id] = id, i, true
    end
  end
  for k, record in ipairs(#ids > 0 and call('HMGET', RECORDS, unpack(ids)) or {}) do found[indexes[k]] = record end
  return found
end

check_records()
local start, last_answer = 4, -1
while start <= #ARGV do
  local verdict, token, width = ARGV[start], ARGV[start + 1], ARGV[start] == 'completed' and 2 or 4
  local made_by, run_us, run_jobs, runs = ARGV[start + 2], tonumber(ARGV[start + 3]), tonumber(ARGV[start + 4]), tonumber(ARGV[start + 5])
  local first, last = start + 7, start + 6 + width * tonumber(ARGV[start + 6])
  local records = verdict == 'completed' and read_records(first, last) or {}
  for i = first, last, width do
    local id, payload, kind, delay_ms = ARGV[i], ARGV[i + 1], nil, nil
    if width == 4 then kind, delay_ms = ARGV[i + 2], tonumber(ARGV[i + 3]) end
    if kind == 'result-too-large' then
      redis.pcall('UNLINK', job_key(id, 'result') .. ':' .. token) -- it may have come, though its answer was lost
    elseif payload == '' then
      gone_count = gone_count + 1
      gone[gone_count] = job_key(id, 'result') .. ':' .. token
    end
    -- a job whose keys another program has made something else of must not keep the others from ending: recovery ends it
    local is_fine, answer = true, 'completed'
    if not (records[i] and finish_plain(id, token, made_by, payload, records[i])) then
      is_fine, answer = pcall(finish_job, id, token, verdict, made_by, payload, kind, delay_ms)
    end
    answer = is_fine and answer or 'stale'
    if answer ~= answers[last_answer] then
      last_answer = last_answer + 2
      answers[last_answer], answers[last_answer + 1] = answer, 0
    end
    answers[last_answer + 1] = answers[last_answer + 1] + 1
  end
  settle_plain(token)
  if run_jobs > 0 and ran_queue then observe_run(ran_queue, ran_for, run_us, run_jobs, runs) end
  ran_for, ran_queue = {}, nil
  start = last + 1
end
write_records()
add_held_bytes(-freed_bytes)
call_with_many(gone, 'UNLINK')
for _, of_model in pairs(groups) do
  for _, group in pairs(of_model) do
    count_ends(group.queue, group.open, group.ids)
    index_completed(group.queue, group.ids, now)
    purge_ended(group.queue .. ':completed', true, now - ttl_ms, 0, 2, 1000)
  end
end
write_counts(now)
write_observations()
publish_events()
if #unreported > 0 then answers[#answers + 1] = unreported end
return answers
