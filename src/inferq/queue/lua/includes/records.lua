-- The hash of all jobs' records.

--- @include "base"
--- @include "keys"
--- @include "record_layout"

-- Lets the hash live at least so long. Its fields cannot expire by themselves; it goes as a whole where nothing happens any more.
local function keep_records(ttl_ms)
  if call('PTTL', RECORDS) < tonumber(ttl_ms) then call('PEXPIRE', RECORDS, ttl_ms) end
end

-- The record of a job, or false. A job that has ended is known as long as its status.
local function read_record(id)
  local record = call('HGET', RECORDS, id)
  if record and record:find(IS_ENDED) and call('EXISTS', job_key(id, 'status')) == 0 then return false end
  return record
end
