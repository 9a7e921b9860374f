-- What subscribers are told: which jobs have changed their status.

--- @include "base"

local events = {}

local function add_event(id, status)
  events[#events + 1] = id .. ':' .. status
end

local function publish_events()
  if #events > 0 then call('PUBLISH', prefix .. 'events', table.concat(events, ',')) end
end
