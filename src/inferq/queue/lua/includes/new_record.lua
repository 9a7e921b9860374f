-- Written by `schema/record.py`, which says what each field is.

-- What follows the sequence number in the record of a new job.
local function format_rest(model, priority, submitted_ms, timeout_ms, owner, bytes, blob_bytes, start_by_ms, request_id, traceparent)
  return model .. '|' .. priority .. '|' .. submitted_ms .. '|' .. timeout_ms .. '|' .. owner .. '|' .. bytes .. '|' .. blob_bytes .. '|' .. start_by_ms .. '|' .. request_id .. '|' .. traceparent .. '|'
end
