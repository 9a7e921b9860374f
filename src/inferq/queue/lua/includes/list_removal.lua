-- Takes ended jobs out of the lists that they waited in.

--- @include "base"
--- @include "keys"

-- An id left in a list is passed over when its turn comes; to take it out costs as much as there is before it.
local function remove_from_list(queue, id, priority)
  local list = list_key(queue, priority)
  if call('LLEN', list) <= 10000 or call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000) then call('LREM', list, -1, id) end
end
