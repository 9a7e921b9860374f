#!lua flags=no-writes,allow-oom
-- Tells what has happened of late: how many jobs of each model there have been, and some of those whose status has changed. What it
-- costs follows the number of models, not that of jobs.
--
-- KEYS[1]  models
-- ARGV[1]  key prefix
-- ARGV[2]  time from which on changes are told, ms; '' for none
-- ARGV[3]  most changes of each model and status
--
-- Returns  {time of this call, ms;
--           {for each model: name, submitted, retried by order, completed, failed, of those never run or stopped, running now};
--           {for each change, of a model and status the latest first: id, model, status, owner}}

--- @include "base"
--- @include "clock"
--- @include "jobs"
--- @include "keys"
--- @include "known_models"
--- @include "leased_count"
--- @include "leases"
--- @include "totals"

local now, since_ms, most = now_ms(), tonumber(ARGV[2]), tonumber(ARGV[3])
local ENTRIES_AT_ONCE = 4
local changes = {}

local function add_change(id, job, status)
  changes[#changes + 1] = {id, job.model or '', status, job.owner or ''}
end

local function add_pending(queue)
  for _, priority in ipairs(PRIORITIES) do
    for _, id in ipairs(read_safely('ZREVRANGE', open_key(queue, priority), 0, most - 1) or {}) do
      local job = find_job(id)
      if not job or (tonumber(job.submitted_ms) or 0) < since_ms then break end -- so are those behind it
      if job.state == 'queued' then add_change(id, job, 'pending') end
    end
  end
end

-- A claim's deadline tells when it was made or renewed last: the latest of both come first.
local function add_processing(queue)
  local left = most
  for _, token in ipairs(read_safely('ZREVRANGE', queue .. ':leases', 0, most - 1) or {}) do
    for _, id in ipairs(left > 0 and read_safely('LRANGE', claim_key(token), 1, left) or {}) do
      local job = find_job(id)
      if not job or (tonumber(job.started_ms) or 0) < since_ms then break end -- so are the others of the claim
      add_change(id, job, 'processing')
      left = left - 1
    end
  end
end

local function add_completed(queue)
  local left, first, found = most, 0, nil
  repeat
    found = read_safely('ZREVRANGEBYSCORE', queue .. ':completed', '+inf', format_int(since_ms), 'LIMIT', first, ENTRIES_AT_ONCE) or {}
    for _, entry in ipairs(found) do
      local is_fine, ids = pcall(cjson.decode, entry)
      for _, id in ipairs(is_fine and type(ids) == 'table' and ids or {}) do
        local job = left > 0 and find_job(id)
        if job and job.state == 'ended' and not job.error_kind then
          add_change(id, job, 'completed')
          left = left - 1
        end
      end
    end
    first = first + ENTRIES_AT_ONCE
  until #found < ENTRIES_AT_ONCE or left <= 0
end

local function add_failed(queue)
  for _, id in ipairs(read_safely('ZREVRANGEBYSCORE', queue .. ':dead', '+inf', format_int(since_ms), 'LIMIT', 0, most) or {}) do
    local job = find_job(id)
    if job then add_change(id, job, 'failed') end
  end
end

local models = {}
for i, model in ipairs(find_models(KEYS[1])) do
  local queue = queue_key(model)
  models[i] = {model, read_totals(queue)}
  table.insert(models[i], count_leased(queue))
  if since_ms then
    add_failed(queue)
    add_completed(queue)
    add_processing(queue)
    add_pending(queue)
  end
end
return {now, models, changes}
