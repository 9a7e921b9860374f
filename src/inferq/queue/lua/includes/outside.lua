-- Traces of programs from outside.

--- @include "base"

-- Programs from outside that push or run a model's jobs leave traces. For so long after one, nothing is guessed that holds
-- only where there are none.
local SHARED_MS = 60000

local function note_outside(queue)
  call('SET', queue .. ':outside', '1', 'PX', SHARED_MS)
end
