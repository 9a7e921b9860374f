-- Where in the index of open jobs those may be that were popped from a list.

--- @include "base"
--- @include "keys"

-- Lists are first in, first out, so what was popped is older than the present tail. Returns the greatest score that such a job
-- may have, as ZRANGEBYSCORE takes it; nil if that cannot be told, as the tail came from outside.
local function find_popped_bound(queue, priority)
  local tail = call('LINDEX', list_key(queue, priority), -1)
  if not tail then return '+inf' end
  local sequence = call('ZSCORE', open_key(queue, priority), tail)
  return sequence and '(' .. sequence
end
