-- The models of which jobs are kept.

--- @include "base"

-- Notes that jobs of a model are kept, of which in the end records have to go, whoever serves it then.
local function note_queue(model)
  redis.pcall('SADD', prefix .. 'jobs:queues', model)
end
