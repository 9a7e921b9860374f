-- The number by which workers see that they have to read the model repository and what is said of its versions again. It grows
-- with each change; not below the time, so that it is new also where the server has lost it.

--- @include "base"
--- @include "clock"

local GENERATION = prefix .. 'models:generation'
local LARGEST = 2 ^ 53

local function read_generation()
  local number = tonumber(read_safely('GET', GENERATION) or '')
  return number and number > 0 and number < LARGEST and math.floor(number) or 0
end

local function begin_generation()
  local generation = math.max(read_generation() + 1, now_ms())
  call('SET', GENERATION, format_int(generation))
  return generation
end
