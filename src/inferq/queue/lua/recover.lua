#!lua flags=allow-oom
-- One bounded pass over one model's queue: takes back lapsed leases, puts due retries in line, finds jobs that a worker
-- popped but never claimed, ends jobs that waited too long or that an outside worker ended, and forgets old ends.
-- Any worker may run it at any time. The cost follows what is running, not what waits.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  most jobs of each sort to handle
-- ARGV[3]  how long a job must be missing from its list before it is put back, ms
-- ARGV[4]  lifetime of an ended job, ms
-- ARGV[5]  most charged failures of a job
-- ARGV[6]  how long a job may wait before it has expired, ms
-- ARGV[7]  longest time for which a lease is believed, ms
-- ARGV[8]  longest pause before another try, ms
--
-- Returns  {leases taken back, retries put in line, missing jobs put back, jobs failed, models of which jobs are kept}

--- @include "attempts"
--- @include "base"
--- @include "clock"
--- @include "drain_rate"
--- @include "events"
--- @include "expiry"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leased_count"
--- @include "leases"
--- @include "lifecycle"
--- @include "outside"
--- @include "popped"
--- @include "queue_retention"
--- @include "records"
--- @include "unreadable"

local queue, limit, grace_ms, ttl_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local max_failures, job_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local longest_lease_ms, longest_pause_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local now = now_ms()
local leases, retries = queue .. ':leases', queue .. ':retries'
check_records()
local lapsed_count, due_count, missing_count, failed_count = 0, 0, 0, 0
local events, model = {}, queue:sub(#queue_key('') + 1)

-- What an index has later than anything can be put into it now: it was put there before the clock was set back.
local function find_postdated(index, latest_ms)
  return redis.pcall('ZRANGEBYSCORE', index, '(' .. string.format('%d', latest_ms), '+inf', 'LIMIT', 0, 1000)
end

-- Whether any job of these models has not ended.
local function has_open_jobs(models)
  local count = 0
  for _, model in ipairs(models) do
    for _, priority in ipairs(PRIORITIES) do
      count = count + call('EXISTS', open_key(queue_key(model), priority))
    end
  end
  return count > 0
end

local function fail(id, job, kind, message)
  fail_job(queue, id, job, ttl_ms, now, kind, message)
  failed_count = failed_count + 1
  events[#events + 1] = id .. ':failed'
end

local function give_up(id)
  for _, priority in ipairs(PRIORITIES) do call('ZREM', open_key(queue, priority), id) end
  fail_unreadable(queue, model, id, 'normal', ttl_ms, now)
  failed_count = failed_count + 1
  events[#events + 1] = id .. ':failed'
end

-- The worker of a lapsed lease died, or lost its connection for so long. Nobody knows which job of a batch was to
-- blame, so the first time is not charged: the job runs alone next time, and only then is it charged.
local function take_back(id, token)
  local job = read_job(id)
  if not job or job.state ~= 'leased' or job.token ~= token then return nil end
  local status = notice_outside_end(queue, id, job, ttl_ms, now)
  if status then
    events[#events + 1] = id .. ':' .. status
    return nil
  end
  record_attempt(job, now, 'crashed', 'The worker died or lost its connection.')
  if job.alone == '1' then job.failures = (job.failures or 0) + 1 end
  if job.alone == '1' and job.failures >= max_failures then
    fail(id, job, 'crashed', 'The worker died each time it ran this job, at last alone (after ' .. job.attempts ..
      ' attempts). The data may be more than the model can take.')
    return nil
  end
  job.state, job.alone, job.token = 'queued', '1', nil
  save_job(id, job)
  call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  events[#events + 1] = id .. ':pending'
  return {id = id, priority = job.priority, sequence = tonumber(job.sequence)}
end

-- a worker that lives renews it before then
for _, token in ipairs(find_postdated(leases, now + longest_lease_ms)) do
  call('ZADD', leases, format_int(now + longest_lease_ms), token)
end

local back, looked_at = {}, 0
for _, token in ipairs(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit)) do
  if looked_at >= limit then break end
  local ids = read_safely('LRANGE', claim_key(token), 1, -1) or {}
  call('UNLINK', claim_key(token))
  call('ZREM', leases, token)
  for _, id in ipairs(ids) do
    local is_fine, job = pcall(take_back, id, token)
    if is_fine then back[#back + 1] = job else give_up(id) end
  end
  looked_at = looked_at + #ids
end

local function put_back(jobs)
  table.sort(jobs, function(a, b) return a.sequence > b.sequence end) -- the oldest is pushed last, so it is next
  for _, job in ipairs(jobs) do call('RPUSH', list_key(queue, job.priority), job.id) end
  lapsed_count = lapsed_count + #jobs
end

put_back(back)

local function try_again(id)
  call('ZREM', retries, id)
  local job = find_job(id)
  if job and job.state == 'retrying' then
    job.state = 'queued'
    save_job(id, job)
    call('RPUSH', list_key(queue, job.priority), id)
    due_count = due_count + 1
  end
end

for _, id in ipairs(call('ZRANGEBYSCORE', retries, '-inf', now, 'LIMIT', 0, limit)) do try_again(id) end
for _, id in ipairs(find_postdated(retries, now + longest_pause_ms)) do try_again(id) end

-- Of the open jobs that may have been popped, most are leased or waiting for a retry, hence the bound.
local function look_for_queued(id, job, priority)
  local status = notice_outside_end(queue, id, job, ttl_ms, now)
  if status then
    events[#events + 1] = id .. ':' .. status
  elseif redis.pcall('GET', job_key(id, 'status')) == 'processing' then
    note_outside(queue) -- a worker from there has it and says so
  elseif not job.missing_ms then
    job.missing_ms = now
    save_job(id, job)
  elseif math.abs(now - tonumber(job.missing_ms)) >= grace_ms then -- the clock may have been set back
    job.missing_ms = nil
    save_job(id, job)
    if not call('LPOS', list_key(queue, priority), id, 'RANK', -1, 'MAXLEN', 5000) then
      call('RPUSH', list_key(queue, priority), id)
      missing_count = missing_count + 1
    end
  end
end

local unleased = {} -- whose lease has been lost

local function look_for(id, priority)
  local job = read_job(id)
  if not job or job.state == 'ended' then
    call('ZREM', open_key(queue, priority), id)
  elseif job.state == 'leased' then
    if not call('ZSCORE', leases, job.token) then unleased[#unleased + 1] = take_back(id, job.token) end
  elseif job.state == 'retrying' then
    if not call('ZSCORE', retries, id) then call('ZADD', retries, now, id) end
  else
    look_for_queued(id, job, priority)
  end
end

-- The look goes on where the last one ended: jobs that outside workers have may be many, and stay.
local bound = count_leased(queue) + call('ZCARD', retries) + limit
for _, priority in ipairs(PRIORITIES) do
  local index, place = open_key(queue, priority), queue .. ':look:' .. priority
  local count = call('ZCOUNT', index, '-inf', find_popped_bound(queue, priority) or '+inf')
  local first = tonumber(call('GET', place) or 0)
  if first >= count then first = 0 end
  local last = math.min(first + bound, count) - 1
  for _, id in ipairs(last >= first and call('ZRANGE', index, first, last) or {}) do
    if not pcall(look_for, id, priority) then give_up(id) end
  end
  if last + 1 < count then call('SET', place, last + 1, 'PX', ttl_ms) elseif first > 0 then call('DEL', place) end
end

put_back(unleased)

failed_count = failed_count + expire_waiting(queue, limit, job_ttl_ms, ttl_ms, now, events)

update_drain_rate(queue, now)

purge_queue(queue, model, now, ttl_ms)
local models = read_safely('SMEMBERS', prefix .. 'jobs:queues') or {}
if read_held_bytes() > 0 and not has_open_jobs(models) then add_held_bytes(-read_held_bytes()) end -- another program changed records
keep_records(job_ttl_ms + ttl_ms)
publish(events)
return {lapsed_count, due_count, missing_count, failed_count, models}
