-- What there is: waiting jobs, live workers. Reads no payload, and of each list no more than its end.

--- @include "base"
--- @include "jobs"
--- @include "keys"
--- @include "live_workers"

local LAST = 10 -- an ended job's id may stay in a list until its turn comes

local function find_longest_wait(list, now)
  local ids = read_safely('LRANGE', list, -LAST, -1) or {}
  for i = #ids, 1, -1 do
    local job = find_job(ids[i])
    if job and job.state == 'queued' then return math.max(0, now - (tonumber(job.submitted_ms) or now)) end
  end
  return false
end

-- How many jobs wait at each priority, and the ms that the longest waiting has waited, or false.
local function read_waiting(queue, now)
  local waiting, longest = {}, false
  for i, priority in ipairs(PRIORITIES) do
    local list = list_key(queue, priority)
    waiting[i] = read_safely('LLEN', list) or 0
    local wait = find_longest_wait(list, now)
    if wait and wait > (longest or -1) then longest = wait end
  end
  return waiting, longest
end

-- For each live worker its id, and its report as names and values.
local function read_workers(now)
  local workers = {}
  for i, id in ipairs(find_live_workers(now)) do workers[i] = {id, read_safely('HGETALL', prefix .. 'worker:' .. id) or {}} end
  return workers
end
