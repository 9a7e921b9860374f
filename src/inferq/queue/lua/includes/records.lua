-- The hash of all jobs' records.

--- @include "base"
--- @include "keys"

-- Raises an error, before anything is changed, where another program has made something else of it.
local function check_records()
  call('HEXISTS', RECORDS, '')
end

-- Lets the hash live so long at least. Fields cannot expire by themselves, but where nobody comes any more all may go.
local function keep_records(ttl_ms)
  if call('PTTL', RECORDS) < tonumber(ttl_ms) then call('PEXPIRE', RECORDS, ttl_ms) end
end

-- The record of a job, or false. One that has ended is known as long as its status.
local function read_record(id)
  local record = call('HGET', RECORDS, id)
  if record and record:sub(1, 6) == 'ended|' and call('EXISTS', job_key(id, 'status')) == 0 then return false end
  return record
end
