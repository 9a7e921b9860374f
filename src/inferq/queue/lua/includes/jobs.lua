-- Jobs as tables, by the names of their record's fields.

--- @include "base"
--- @include "keys"
--- @include "record_codec"
--- @include "record_fields"
--- @include "records"

-- Raises an error, before anything is changed, where another program has made something else of the hash.
local function check_records()
  call('HEXISTS', RECORDS, '')
end

-- A job, or false if there is none. Raises an error where its record cannot be read.
local function read_job(id)
  local record = read_record(id)
  return record and parse_record(record)
end

-- The same; nil as well where its record cannot be read.
local function find_job(id)
  local is_fine, job = pcall(read_job, id)
  return is_fine and job or nil
end

-- Returns the record.
local function save_job(id, job)
  local values, more = {}, {}
  for name, value in pairs(job) do more[name] = value end
  for i, name in ipairs(FIELDS) do
    local value = more[name] or ''
    values[i], more[name] = type(value) == 'number' and format_int(value) or value, nil
  end
  local rest = next(more) and cjson.encode(more) or ''
  local record = table.concat(values, '|') .. '|' .. rest
  call('HSET', RECORDS, id, record)
  return record
end
