-- The ways a job ends. Every end, in whichever script, goes through `count_ends`, and comes last there: an error before it leaves a
-- job that has not ended, or whose end another script notices. So no index that another program has made something else of may
-- raise one.
--
-- An end that no worker reports is logged by the caller of the script, so scripts return these: of each a list of the id, the
-- public status, the message where one is stored here or '', and the record.

--- @include "base"
--- @include "counters"
--- @include "deadlines"
--- @include "events"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "leases"
--- @include "outside"
--- @include "records"

local unreported = {} -- ends of this call

-- Lists jobs that completed at the same time in one entry, their ids as JSON: an entry for each would cost as much as to store
-- its result. An entry stays when a job of it is deleted or begins anew: a reader can tell by its time.
local function index_completed(queue, ids, now)
  redis.pcall('ZADD', queue .. ':completed', format_int(now), cjson.encode(ids))
end

-- Writes into a job's record that it has ended, and takes it out of its lease and out of the retries. Returns the
-- record.
local function record_end(queue, id, job, ttl_ms, now)
  if job.state == 'leased' then end_lease(queue, job.token, {id}) end
  redis.pcall('ZREM', queue .. ':retries', id)
  if job.start_by_ms then drop_deadline(queue, id) end
  keep_records(ttl_ms)
  job.state, job.ended_ms = 'ended', now
  local record = save_job(id, job)
  add_held_bytes(-(tonumber(job.bytes) or 0))
  if job.webhook then redis.pcall('ZADD', prefix .. 'webhooks', now, id) end
  return record
end

-- Counts and tells the ends of jobs whose records say so, and takes them out of the index of open jobs. The kind is that of the
-- error; nil where they completed.
local function count_ends(queue, open, ids, kind)
  redis.pcall('ZREM', open, unpack(ids))
  add_count(queue, kind and 'failed|' .. kind or 'completed', #ids)
  local status = kind and 'failed' or 'completed'
  add_event(table.concat(ids, ':' .. status .. ','), status)
end

-- The data stays, so that a failed job can be looked into and retried. Some ends are reported by a worker, which logs them.
local function fail_job(queue, id, job, ttl_ms, now, kind, message, is_reported)
  call('SET', job_key(id, 'error'), message, 'PX', ttl_ms)
  call('SET', job_key(id, 'status'), 'failed', 'PX', ttl_ms)
  call('PEXPIRE', job_key(id, 'data'), ttl_ms)
  job.error_kind = kind
  redis.pcall('ZADD', queue .. ':dead', now, id)
  local record = record_end(queue, id, job, ttl_ms, now)
  count_ends(queue, open_key(queue, job.priority), {id}, kind)
  if not is_reported then unreported[#unreported + 1] = {id, 'failed', message, record} end
end

-- An outside worker ends a job by writing its result and status; the rest of the bookkeeping is done here. Returns whether
-- that is so.
local function notice_outside_end(queue, id, job, ttl_ms, now)
  local status = redis.pcall('GET', job_key(id, 'status'))
  if status ~= 'completed' and status ~= 'failed' then return false end
  note_outside(queue)
  if status == 'completed' then call('UNLINK', job_key(id, 'data')) end
  for _, part in ipairs({'data', 'status', 'result', 'error'}) do call('PEXPIRE', job_key(id, part), ttl_ms) end
  if status == 'failed' then redis.pcall('ZADD', queue .. ':dead', now, id) else index_completed(queue, {id}, now) end
  job.outside = '1' -- so that what it wrote is not taken for JSON without a check
  local record = record_end(queue, id, job, ttl_ms, now)
  count_ends(queue, open_key(queue, job.priority), {id}, status == 'failed' and 'outside' or nil)
  unreported[#unreported + 1] = {id, status, '', record}
  return true
end
