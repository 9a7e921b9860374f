-- Makes a table of a record, and a record of a table.

--- @include "base"
--- @include "record_fields"

local function has_json(values)
  for _, value in ipairs(values) do
    if value:byte() == 123 then return true end -- {
  end
end

-- The values of the fields, and the JSON behind them or ''. The records of earlier versions lack the last three fields, or these
-- and blob_bytes, or these, bytes and version. No value begins as JSON does.
local function split_record(record)
  for _, missing in ipairs({0, 3, 4, 6}) do
    local values = {record:match('^' .. ('([^|]*)|'):rep(#FIELDS - missing) .. '(.*)$')}
    local more = table.remove(values)
    if more and (more == '' or more:byte() == 123) and not has_json(values) then
      if missing == 6 then table.insert(values, 7, '') end
      return values, more
    end
  end
end

-- All values are text, but for attempts that failed. Raises an error where some other program has written the record.
local function parse_record(record)
  local values, more = split_record(record)
  if not values or values[1] == '' then error('This is no record of a job.') end
  local job = {}
  for name, value in pairs(more == '' and job or cjson.decode(more)) do
    if type(name) ~= 'string' then error('This is no record of a job.') end
    if type(value) == 'number' then value = format_int(value) end
    if type(value) == 'string' or (type(value) == 'table' and name:find('^attempt:')) then job[name] = value end
  end
  for i, name in ipairs(FIELDS) do job[name] = values[i] ~= '' and values[i] or nil end
  return job
end
