#!lua flags=no-writes,allow-oom
-- Tells how many jobs are taken before a waiting one, itself included.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  priority
--
-- Returns  1 for the next job to be taken, or false if the job does not wait

local queue, id, priority = KEYS[1], ARGV[2], ARGV[3]
local ahead = 0
for _, higher in ipairs(PRIORITIES) do
  if higher == priority then break end
  ahead = ahead + redis.call('LLEN', list_key(queue, higher))
end
local rank = redis.call('ZRANK', open_key(queue, priority), id)
if not rank then
  local found = redis.call('LPOS', list_key(queue, priority), id, 'RANK', -1, 'MAXLEN', 10000)
  if not found then return false end
  return ahead + redis.call('LLEN', list_key(queue, priority)) - found
end
-- jobs that are open but not in the list are running or waiting for a retry, and nearly all of them are older
local length = redis.call('LLEN', list_key(queue, priority))
local absent = math.max(0, redis.call('ZCARD', open_key(queue, priority)) - length)
return ahead + math.min(math.max(1, rank + 1 - absent), math.max(1, length))
