-- Takes ended jobs out of the lists that they waited in.

--- @include "base"
--- @include "keys"

-- An id left in a list is passed over when its turn comes; to take it out costs as much as there is before it. Returns whether it
-- is out for sure.
local function remove_from_list(queue, id, priority)
  local list = list_key(queue, priority)
  if (read_safely('LLEN', list) or 0) > 10000 and not call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000) then return false end
  redis.pcall('LREM', list, -1, id)
  return true
end
