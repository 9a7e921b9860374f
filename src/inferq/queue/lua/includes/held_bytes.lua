-- How many bytes of data the jobs have that have not ended: a field beside their records, so that it is lost with them. Each
-- record holds what was counted for its job, whatever has become of the data since.

--- @include "base"
--- @include "keys"

local HELD_BYTES = '|bytes'

local function read_held_bytes()
  return tonumber(read_safely('HGET', RECORDS, HELD_BYTES) or 0) or 0
end

local function add_held_bytes(change)
  if change == 0 then return end
  local held = redis.pcall('HINCRBY', RECORDS, HELD_BYTES, format_int(change))
  if type(held) ~= 'number' or held <= 0 then call('HDEL', RECORDS, HELD_BYTES) end
end
