-- What is written of a new job.

--- @include "base"
--- @include "data_size"
--- @include "deadlines"
--- @include "keys"
--- @include "new_record"
--- @include "record_layout"

-- Stores a new job's data and status. Returns its record without the head. Data that does not come with it may be large.
-- PSETEX does what SET with PX does, faster.
local function store_job(id, model, priority, data, options, request_id, traceparent, ttl_ms, now)
  if data ~= '' then call('PSETEX', job_key(id, 'data'), ttl_ms, data) end
  call('PSETEX', job_key(id, 'status'), ttl_ms, 'pending')
  local timeout_ms, bytes = options.timeout_ms and format_int(options.timeout_ms) or '', format_int(measure_data(id, data))
  local start_by_ms = ''
  if options.expires_in_ms then
    start_by_ms = format_int(now + options.expires_in_ms)
    note_deadline(queue_key(model), id, start_by_ms, ttl_ms)
  end
  local blob_bytes = options.blob_bytes and format_int(options.blob_bytes) or ''
  local rest = format_rest(model, priority, now, timeout_ms, options.owner or '', bytes, blob_bytes, start_by_ms, request_id,
    traceparent)
  if data ~= '' and not options.webhook and not options.output then return rest end
  return rest .. cjson.encode({is_large = data == '' and '1' or nil, webhook = options.webhook, output = options.output})
end

-- Counts new jobs by their priority; how many are normal follows from the others, see `counters`.
local function count_priority(queue, priority, number)
  if priority ~= 'normal' then redis.pcall('HINCRBY', queue .. ':counts', 'submitted|' .. priority, format_int(number)) end
end

-- The whole record, of the job's sequence number and what `store_job` has returned.
local function format_queued(sequence, rest)
  return QUEUED_HEAD .. format_int(sequence) .. '|' .. rest
end
