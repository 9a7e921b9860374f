-- How many bytes of data a job has.

--- @include "base"
--- @include "keys"

local function measure_data(id, data) -- which comes with the job, or '' where it has been set already
  return data ~= '' and #data or read_safely('STRLEN', job_key(id, 'data')) or 0
end
