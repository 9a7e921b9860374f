-- How a record is written and read.

--- @include "base"

-- A job's record is a field of that hash: these values, each followed by '|', and whatever else there is, as JSON.
-- What a claim and a finish change stands first, so that they write the rest as they found it.
local FIELDS = {'state', 'ended_ms', 'attempts', 'started_ms', 'token', 'worker', 'version', 'sequence', 'model', 'priority',
  'submitted_ms', 'timeout_ms', 'owner', 'bytes'}

-- Makes a table of a record: all values are text, but for attempts that failed. Raises an error where some other program
-- has written it.
local function parse_record(record)
  local values = {record:match('^' .. ('([^|]*)|'):rep(#FIELDS) .. '(.*)$')}
  local more = values[#FIELDS + 1]
  if not more or (more ~= '' and more:byte() ~= 123) then -- an earlier version's, which had neither version nor bytes
    values = {record:match('^' .. ('([^|]*)|'):rep(#FIELDS - 2) .. '(.*)$')}
    more = table.remove(values)
    table.insert(values, 7, '')
  end
  if not more or values[1] == '' then error('This is no record of a job.') end
  local job = {}
  for name, value in pairs(more == '' and job or cjson.decode(more)) do
    if type(name) ~= 'string' then error('This is no record of a job.') end
    if type(value) == 'number' then value = format_int(value) end
    if type(value) == 'string' or (type(value) == 'table' and name:find('^attempt:')) then job[name] = value end
  end
  for i, name in ipairs(FIELDS) do job[name] = values[i] ~= '' and values[i] or nil end
  return job
end
