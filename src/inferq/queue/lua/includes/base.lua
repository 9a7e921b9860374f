-- What all scripts share: the key prefix, which is always ARGV[1], and how Redis is called.

local prefix = ARGV[1]
local call = redis.call

-- A whole number as Redis writes it. Lua's own way to pass numbers, with 17 digits, costs more than most commands.
local function format_int(number)
  return string.format('%d', number)
end

-- Calls a command that reads; false where the key is of a wrong type, which any program may have written.
local function read_safely(...)
  local answer = redis.pcall(...)
  return not (type(answer) == 'table' and answer.err) and answer
end
