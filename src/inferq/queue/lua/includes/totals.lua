-- How many jobs of a model there have been, by what `counters` tells.

--- @include "base"

-- Returns how many were submitted, began anew by order, completed and failed; and how many of those never ran or were stopped.
local function read_totals(queue)
  local fields, failed, unrun = {}, 0, 0
  local found = read_safely('HGETALL', queue .. ':counts') or {}
  for i = 1, #found, 2 do
    local field, number = found[i], tonumber(found[i + 1]) or 0
    fields[field] = number
    if field:find('^failed|') then failed = failed + number end
    if field == 'failed|cancelled' or field == 'failed|expired' then unrun = unrun + number end
  end
  local retried = fields.retried or 0
  local begun = (tonumber(read_safely('GET', queue .. ':sequence') or 0) or 0) + (fields.pushed or 0)
  return begun - retried, retried, fields.completed or 0, failed, unrun
end
