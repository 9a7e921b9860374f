-- The models of which jobs are kept.

--- @include "base"

-- Notes that jobs of a model are kept, whose records have to go in the end, also when no worker serves it then.
local function note_queue(model)
  redis.pcall('SADD', prefix .. 'jobs:queues', model)
end
