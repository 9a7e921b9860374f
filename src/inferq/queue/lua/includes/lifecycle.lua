-- The ways a job ends.

--- @include "base"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leases"
--- @include "outside"
--- @include "records"

-- Lists jobs that completed at the same time in one entry, their ids as JSON: an entry for each would cost as much as to store
-- its result. It stays when a job of it is deleted or begins anew: by its time the reader can tell.
local function index_completed(queue, ids, now)
  redis.pcall('ZADD', queue .. ':completed', format_int(now), cjson.encode(ids))
end

-- Puts the report of a job's end in line, where its request asked for one.
local function queue_webhook(id, now)
  call('ZADD', prefix .. 'webhooks', now, id)
end

-- Takes the job out of every index, and notes that it has ended.
local function end_job(queue, id, job, ttl_ms, now)
  if job.state == 'leased' then end_lease(queue, job.token, {id}) end
  call('ZREM', queue .. ':retries', id)
  keep_records(ttl_ms)
  call('ZREM', open_key(queue, job.priority), id)
  job.state, job.ended_ms = 'ended', now
  save_job(id, job)
  add_held_bytes(-(tonumber(job.bytes) or 0))
  if job.webhook then queue_webhook(id, now) end
end

-- The data stays, so that a failed job can be looked into and tried again.
local function fail_job(queue, id, job, ttl_ms, now, kind, message)
  call('SET', job_key(id, 'error'), message, 'PX', ttl_ms)
  call('SET', job_key(id, 'status'), 'failed', 'PX', ttl_ms)
  call('PEXPIRE', job_key(id, 'data'), ttl_ms)
  job.error_kind = kind
  call('ZADD', queue .. ':dead', now, id)
  end_job(queue, id, job, ttl_ms, now)
end

-- An outside worker ends a job by writing its result and status; the rest of the bookkeeping is done here. Returns that
-- status, or false: it has not ended the job.
local function notice_outside_end(queue, id, job, ttl_ms, now)
  local status = redis.pcall('GET', job_key(id, 'status'))
  if status ~= 'completed' and status ~= 'failed' then return false end
  note_outside(queue)
  job.outside = '1' -- so that nobody takes what it wrote for JSON without a look
  end_job(queue, id, job, ttl_ms, now)
  if status == 'completed' then call('UNLINK', job_key(id, 'data')) end
  for _, part in ipairs({'data', 'status', 'result', 'error'}) do call('PEXPIRE', job_key(id, part), ttl_ms) end
  if status == 'failed' then call('ZADD', queue .. ':dead', now, id) else index_completed(queue, {id}, now) end
  return status
end
