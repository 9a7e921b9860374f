#!lua flags=allow-oom
-- Takes queues out of the announcements that this worker serves no more, unless another live worker does, and tells whether
-- they are drained.
--
-- KEYS[1]  models
-- ARGV[1]  key prefix
-- ARGV[2]  worker id
-- ARGV[3…] names of the queues
--
-- Returns  for each: 'served' (another worker announces it), 'open' (jobs of it have not ended), 'drained'

--- @include "base"
--- @include "clock"
--- @include "keys"
--- @include "live_workers"

local served = {}
for _, worker in ipairs(find_live_workers(now_ms())) do
  local names = worker ~= ARGV[2] and read_safely('HGET', prefix .. 'worker:' .. worker, 'models') or ''
  for name in names:gmatch('%S+') do served[name] = true end
end

local function is_drained(queue)
  for _, priority in ipairs(PRIORITIES) do
    if call('EXISTS', list_key(queue, priority), open_key(queue, priority)) > 0 then return false end
  end
  return true
end

local answers = {}
for i = 3, #ARGV do
  local name = ARGV[i]
  if served[name] then
    answers[#answers + 1] = 'served'
  else
    call('HDEL', KEYS[1], name)
    call('ZREM', prefix .. 'models:seen', name)
    answers[#answers + 1] = is_drained(queue_key(name)) and 'drained' or 'open'
  end
end
return answers
