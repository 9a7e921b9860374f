-- Jobs that outside programs pushed.

--- @include "counters"

-- Counts some that are seen for the first time.
local function add_pushed(queue, priority, number)
  add_count(queue, 'pushed', number)
  if priority ~= 'normal' then add_count(queue, 'submitted|' .. priority, number) end
end
