-- What is written of a new job.

--- @include "base"
--- @include "data_size"
--- @include "keys"

-- Stores a new job's data and status. Returns its record from the model on. Data that does not come with it may be large.
-- PSETEX does what SET with PX does, faster.
local function store_job(id, model, priority, data, options, ttl_ms, now)
  if data ~= '' then call('PSETEX', job_key(id, 'data'), ttl_ms, data) end
  call('PSETEX', job_key(id, 'status'), ttl_ms, 'pending')
  local record = model .. '|' .. priority .. '|' .. now .. '|' .. (options.timeout_ms and format_int(options.timeout_ms) or '') ..
    '|' .. (options.owner or '') .. '|' .. format_int(measure_data(id, data)) .. '|'
  if data ~= '' and not options.webhook then return record end
  return record .. cjson.encode({is_large = data == '' and '1' or nil, webhook = options.webhook})
end

-- The record of a job that comes into its line: a sequence number, and what `store_job` has returned.
local function format_queued(sequence, rest)
  return 'queued|||||||' .. format_int(sequence) .. '|' .. rest
end
