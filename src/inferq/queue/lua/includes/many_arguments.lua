-- Commands with any number of arguments: Lua passes a few thousand at a time.

--- @include "base"

-- Calls a command with these arguments, after the key if there is one; an even number of them at a time.
local function call_with_many(arguments, command, key)
  for first = 1, #arguments, 1000 do
    local last = math.min(first + 999, #arguments)
    if key then
      call(command, key, unpack(arguments, first, last))
    else
      call(command, unpack(arguments, first, last))
    end
  end
end
