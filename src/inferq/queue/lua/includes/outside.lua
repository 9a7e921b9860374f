-- Programs from outside that push or run a model's jobs leave a trace. For so long after one, nothing is guessed that holds only
-- where there are none.

--- @include "base"

local OUTSIDE_MS = 60000

local function note_outside(queue)
  call('SET', queue .. ':outside', '1', 'PX', OUTSIDE_MS)
end
