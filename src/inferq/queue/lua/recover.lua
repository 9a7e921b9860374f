#!lua flags=allow-oom
-- One bounded pass over one model's queue: reclaims jobs of lapsed leases, requeues due retries, finds jobs that a worker
-- popped but never claimed, ends jobs that waited too long or that an outside worker ended, and purges old ends.
-- Any worker may run it at any time. The cost follows what is running, not what waits.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  most jobs of each sort to handle
-- ARGV[3]  how long a job must be missing from its list before it is requeued, ms
-- ARGV[4]  lifetime of an ended job, ms
-- ARGV[5]  most charged failures of a job
-- ARGV[6]  how long a job may wait before it has expired, ms
-- ARGV[7]  longest time for which a lease is believed, ms
-- ARGV[8]  longest pause before a retry, ms
--
-- Returns  {jobs reclaimed, retries requeued, missing jobs requeued, jobs failed, 1 if more have not started in time or else 0,
--           models of which jobs are kept, ends, see `ends`; of each job reclaimed or missing a list of its id, 'pending', ''
--           and its record, ids of jobs whose record has vanished}

--- @include "attempts"
--- @include "base"
--- @include "capacity"
--- @include "clock"
--- @include "counters"
--- @include "drain_rate"
--- @include "ends"
--- @include "events"
--- @include "expiry"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leased_count"
--- @include "leases"
--- @include "most_waiting"
--- @include "outside"
--- @include "popped"
--- @include "queue_retention"
--- @include "records"
--- @include "unrecorded"

local queue, limit, grace_ms, ttl_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local max_failures, job_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local longest_lease_ms, longest_pause_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local now = now_ms()
local leases, retries = queue .. ':leases', queue .. ':retries'
local lapsed_count, due_count, missing_count, failed_count = 0, 0, 0, 0
local requeued, lost = {}, {} -- jobs that were reclaimed or missing; that have no record any more
local model = queue:sub(#queue_key('') + 1)

-- Entries of an index later than any that can be made now: they were made before the clock was set back.
local function find_postdated(index, latest_ms)
  return redis.pcall('ZRANGEBYSCORE', index, '(' .. format_int(latest_ms), '+inf', 'LIMIT', 0, 1000)
end

-- Whether any job of these models has not ended.
local function has_open_jobs(models)
  local count = 0
  for _, name in ipairs(models) do
    for _, priority in ipairs(PRIORITIES) do
      count = count + call('EXISTS', open_key(queue_key(name), priority))
    end
  end
  return count > 0
end

local function update_drain_rate(queue, now)
  local rate, ended = read_drain_rate(queue, now)
  if rate > 0 then
    redis.pcall('HSET', queue .. ':rate', 'at_ms', format_int(now), 'per_second', string.format('%.6f', rate), 'ended',
      format_int(ended))
  end
end

local function give_up(id)
  fail_corrupt(queue, model, id, 'normal', ttl_ms, now)
  failed_count = failed_count + 1
end

-- The worker of a lapsed lease died, or lost its connection for so long. Nobody knows which job of a batch was to
-- blame, so the first time is not charged: the job runs alone next time, and only then is it charged. One that only waited
-- for its files was not: it waits again, a few times, as to fetch them may be what kills its workers. Returns what is to be
-- requeued, if anything.
local function reclaim(id, token)
  local job = read_job(id)
  if not job or job.state ~= 'leased' or job.token ~= token then return nil end
  if notice_outside_end(queue, id, job, ttl_ms, now) then return nil end
  record_attempt(job, now, 'crashed', 'The worker died or lost its connection.')
  local waits = tonumber(job.lost_waits or 0)
  if job.awaits_files == '1' and waits < max_failures then
    job.lost_waits = waits + 1
  elseif job.alone == '1' then
    job.failures = (job.failures or 0) + 1
    if job.failures >= max_failures then
      fail_job(queue, id, job, ttl_ms, now, 'crashed', 'The worker died each time it ran this job, at last alone (after ' ..
        job.attempts .. ' attempts). The data may be more than the model can take.')
      failed_count = failed_count + 1
      return nil
    end
  else
    job.alone = '1'
  end
  job.state, job.token, job.awaits_files = 'queued', nil, nil
  local record = save_job(id, job)
  call('SET', job_key(id, 'status'), 'pending', 'KEEPTTL')
  add_event(id, 'pending')
  return {id = id, priority = job.priority, sequence = tonumber(job.sequence), record = record}
end

local function requeue(jobs)
  table.sort(jobs, function(a, b) return a.sequence > b.sequence end) -- the oldest is pushed last, so it is next
  for _, job in ipairs(jobs) do
    call('RPUSH', list_key(queue, job.priority), job.id)
    requeued[#requeued + 1] = {job.id, 'pending', '', job.record}
  end
  lapsed_count = lapsed_count + #jobs
  if #jobs > 0 then add_count(queue, 'recovered', #jobs) end
end

local function requeue_retry(id)
  call('ZREM', retries, id)
  local job = find_job(id)
  if job and job.state == 'retrying' then
    job.state = 'queued'
    save_job(id, job)
    call('RPUSH', list_key(queue, job.priority), id)
    due_count = due_count + 1
  end
end

-- Of the open jobs that may have been popped, most are leased or wait for a retry, hence the bound.
local function reconcile_queued(id, job, priority)
  if notice_outside_end(queue, id, job, ttl_ms, now) then return end
  if redis.pcall('GET', job_key(id, 'status')) == 'processing' then
    note_outside(queue) -- a worker from there has it and says so
  elseif not job.missing_ms then
    job.missing_ms = now
    save_job(id, job)
  elseif math.abs(now - tonumber(job.missing_ms)) >= grace_ms then -- the clock may have been set back
    job.missing_ms = nil
    local record = save_job(id, job)
    if not call('LPOS', list_key(queue, priority), id, 'RANK', -1, 'MAXLEN', 5000) then
      call('RPUSH', list_key(queue, priority), id)
      missing_count = missing_count + 1
      requeued[#requeued + 1] = {id, 'pending', '', record}
      add_count(queue, 'recovered', 1)
    end
  end
end

local unleased = {} -- whose lease has been lost

-- Compares a job of the open index with where it has to be in its state, and repairs that.
local function reconcile(id, priority)
  local job = read_job(id)
  if not job or job.state == 'ended' then
    if call('ZREM', open_key(queue, priority), id) == 1 and not call('HGET', RECORDS, id) then
      add_count(queue, 'lost', 1)
      lost[#lost + 1] = id
    end
  elseif job.state == 'leased' then
    if not call('ZSCORE', leases, job.token) then unleased[#unleased + 1] = reclaim(id, job.token) end
  elseif job.state == 'retrying' then
    if not call('ZSCORE', retries, id) then call('ZADD', retries, now, id) end
  else
    reconcile_queued(id, job, priority)
  end
end

check_records()
-- a worker that lives renews it before then
for _, token in ipairs(find_postdated(leases, now + longest_lease_ms)) do
  call('ZADD', leases, format_int(now + longest_lease_ms), token)
end

local lapsed, read_count = {}, 0
for _, token in ipairs(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit)) do
  if read_count >= limit then break end
  local ids = read_safely('LRANGE', claim_key(token), 1, -1) or {}
  call('UNLINK', claim_key(token))
  call('ZREM', leases, token)
  for _, id in ipairs(ids) do
    local is_fine, job = pcall(reclaim, id, token)
    if is_fine then lapsed[#lapsed + 1] = job else give_up(id) end
  end
  read_count = read_count + #ids
  if #ids > 0 then add_count(queue, 'leases_lapsed', 1) end
end
requeue(lapsed)

for _, id in ipairs(call('ZRANGEBYSCORE', retries, '-inf', now, 'LIMIT', 0, limit)) do requeue_retry(id) end
for _, id in ipairs(find_postdated(retries, now + longest_pause_ms)) do requeue_retry(id) end

-- A pass goes on where the last one ended: jobs that outside workers have may be many, and stay.
local bound = count_leased(queue) + call('ZCARD', retries) + limit
for _, priority in ipairs(PRIORITIES) do
  local index, cursor_key = open_key(queue, priority), queue .. ':cursor:' .. priority
  local count = call('ZCOUNT', index, '-inf', find_popped_bound(queue, priority) or '+inf')
  local first = tonumber(read_safely('GET', cursor_key) or 0) or 0
  if first >= count then first = 0 end
  local last = math.min(first + bound, count) - 1
  for _, id in ipairs(last >= first and call('ZRANGE', index, first, last) or {}) do
    if not pcall(reconcile, id, priority) then give_up(id) end
  end
  if last + 1 < count then
    call('SET', cursor_key, last + 1, 'PX', ttl_ms)
  elseif first > 0 then
    call('DEL', cursor_key)
  end
end
requeue(unleased)

failed_count = failed_count + expire_waiting(queue, limit, job_ttl_ms, ttl_ms, now)
local unstarted_count, has_more = expire_unstarted(queue, limit, job_ttl_ms, ttl_ms, now)
failed_count = failed_count + unstarted_count

write_counts(now)
update_drain_rate(queue, now)
note_waiting(queue, now, count_waiting(queue, 'normal') or 0)

purge_queue(queue, model, now, ttl_ms)
local models = read_safely('SMEMBERS', prefix .. 'jobs:queues') or {}
if read_held_bytes() > 0 and not has_open_jobs(models) then add_held_bytes(-read_held_bytes()) end -- records were changed from outside
keep_records(job_ttl_ms + ttl_ms)
publish_events()
return {lapsed_count, due_count, missing_count, failed_count, has_more and 1 or 0, models, unreported, requeued, lost}
