#!lua flags=no-writes,allow-oom
-- Tells what waits and runs of every model, and how fast the live workers are: all by which it can be told when a job that waits
-- will be taken. Reads no payload, and of what waits only the number.
--
-- KEYS[1]  models
-- ARGV[1]  key prefix
--
-- Returns  {the server's time in ms,
--           {for each model of which anything waits or runs: name, waiting at high, at normal, at low priority,
--            {for each claim that is leased: worker, when it was made in ms, jobs left of it,
--             bytes of data of the first of these, or ''; of a large job the chunks that are not done, and how long one worker
--             would take for them in ms, or '' twice}},
--           {for each live worker: id, its models, their paces; as its heartbeat has written them, or false}}

--- @include "base"
--- @include "clock"
--- @include "jobs"
--- @include "keys"
--- @include "known_models"
--- @include "leases"
--- @include "live_workers"

local now = now_ms()
local MOST_LEASES = 1000

-- All jobs of a claim were leased at the same time by the same worker: the first that is left tells.
local function add_claim(claims, token)
  local id = read_safely('LINDEX', claim_key(token), 1)
  local job = id and find_job(id)
  if not job or job.token ~= token then return end
  local count = #claims
  claims[count + 1], claims[count + 2] = job.worker or '', job.started_ms or ''
  claims[count + 3], claims[count + 4] = (read_safely('LLEN', claim_key(token)) or 1) - 1, job.blob_bytes or job.bytes or ''
  local progress = claims[count + 3] == 1 and read_safely('GET', job_key(id, 'progress')) or ''
  local left_chunks, left_ms = progress:match('^%d+ %d+ (%d+) (%d+)$')
  claims[count + 5], claims[count + 6] = left_chunks or '', left_ms or ''
end

local function read_model(model)
  local queue, load, is_busy = queue_key(model), {model}, false
  for i, priority in ipairs(PRIORITIES) do
    load[i + 1] = read_safely('LLEN', list_key(queue, priority)) or 0
    is_busy = is_busy or load[i + 1] > 0
  end
  local claims = {}
  for _, token in ipairs(read_safely('ZRANGE', queue .. ':leases', 0, MOST_LEASES - 1) or {}) do add_claim(claims, token) end
  load[5] = claims
  return (is_busy or #claims > 0) and load
end

local models, workers = {}, {}
for _, model in ipairs(find_models(KEYS[1])) do models[#models + 1] = read_model(model) or nil end
for i, id in ipairs(find_live_workers(now)) do
  local report = read_safely('HMGET', prefix .. 'worker:' .. id, 'models', 'paces') or {}
  workers[i] = {id, report[1] or false, report[2] or false}
end
return {now, models, workers}
