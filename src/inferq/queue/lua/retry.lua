-- Requeues a failed job, as if it had just been submitted; its history stays.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  lifetime of a job that has not ended, ms
-- ARGV[4]  most jobs that may wait for the model
-- ARGV[5]  token of this call: one that is repeated, since its answer was lost, changes nothing and gets the same answer
-- ARGV[6]  most bytes of data that jobs may have that have not ended, of all models; 0 for any number
--
-- Returns  {'retried'}, {'no data'} (nothing left to run), {'full', jobs waiting, jobs that ended per 1,000 s of late},
--          {'heavy', bytes of data that jobs have which have not ended, ended as above},
--          {'corrupt', key} (another program has made something else of a key that it would go into),
--          {its public status} (it has not failed), or {} (no such job)

--- @include "base"
--- @include "capacity"
--- @include "clock"
--- @include "counters"
--- @include "data_size"
--- @include "deadlines"
--- @include "drain_rate"
--- @include "held_bytes"
--- @include "jobs"
--- @include "kept_queues"
--- @include "keys"
--- @include "minutes"
--- @include "records"

local id, ttl_ms, max_queued, token = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
check_records()
local job = find_job(id)
if job and job.retry_token == token then return {'retried'} end
local status = call('GET', job_key(id, 'status'))
if not job or not status then return {} end
if job.state ~= 'ended' or status ~= 'failed' then return {status} end
if call('EXISTS', job_key(id, 'data')) == 0 then return {'no data'} end

local queue, priority = queue_key(job.model), job.priority
local depth, corrupt = count_waiting(queue, priority)
if corrupt then return {'corrupt', corrupt} end
if depth >= max_queued then return {'full', depth, math.floor(read_drain_rate(queue, now_ms()) * 1000)} end

local held, bytes, max_bytes = read_held_bytes(), measure_data(id, ''), tonumber(ARGV[6])
if max_bytes > 0 and held + bytes > max_bytes then
  return {'heavy', held, math.floor(read_drain_rate(queue, now_ms()) * 1000)}
end

local now = now_ms()
begin_minute(queue, now)
local sequence = call('INCR', queue .. ':sequence')
if job.start_by_ms then -- it has as much time again
  job.start_by_ms = now + tonumber(job.start_by_ms) - tonumber(job.submitted_ms)
  note_deadline(queue, id, format_int(job.start_by_ms), ttl_ms)
end
job.first_submitted_ms = job.first_submitted_ms or job.submitted_ms
job.state, job.sequence, job.submitted_ms, job.retry_token = 'queued', sequence, now, token
job.bytes = bytes
for _, name in ipairs({'failures', 'alone', 'awaits_files', 'lost_waits', 'error_kind', 'ended_ms', 'token', 'missing_ms', 'outside',
  'webhook_status', 'webhook_attempts', 'webhook_ms', 'webhook_error'}) do job[name] = nil end
save_job(id, job)
add_held_bytes(bytes)
redis.pcall('ZREM', prefix .. 'webhooks', id) -- its new end is another report
call('SET', job_key(id, 'status'), 'pending', 'PX', ttl_ms)
call('UNLINK', job_key(id, 'error'))
call('PEXPIRE', job_key(id, 'data'), ttl_ms)
keep_records(ttl_ms)
note_queue(job.model)
redis.pcall('ZREM', queue .. ':dead', id)
call('ZADD', open_key(queue, priority), sequence, id)
call('LPUSH', list_key(queue, priority), id)
add_count(queue, 'retried', 1)
write_counts(now)
return {'retried'}
