-- What subscribers are told.

--- @include "base"

local function publish(events)
  if #events > 0 then
    call('PUBLISH', prefix .. 'events', table.concat(events, ','))
  end
end
