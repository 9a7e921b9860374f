-- The models of which jobs are kept: some worker has to purge their records in the end, also if none serves the model then.

--- @include "base"

local function note_queue(model)
  redis.pcall('SADD', prefix .. 'jobs:queues', model)
end
