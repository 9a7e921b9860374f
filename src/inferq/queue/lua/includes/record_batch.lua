-- Records of many jobs, written together.

--- @include "keys"
--- @include "many_arguments"

local unwritten = {} -- id, record, the next id, …

local function add_record(id, record)
  local count = #unwritten
  unwritten[count + 1], unwritten[count + 2] = id, record
end

local function write_records()
  call_with_many(unwritten, 'HSET', RECORDS)
  unwritten = {}
end
