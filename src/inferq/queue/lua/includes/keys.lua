-- Names of keys, as `schema/keys.py` has them.

--- @include "base"

local PRIORITIES = {'high', 'normal', 'low'}

local function job_key(id, part)
  return prefix .. 'job:' .. id .. ':' .. part
end

local function queue_key(model)
  return prefix .. 'queue:' .. model
end

local function list_key(queue, priority)
  if priority == 'normal' then return queue end
  return queue .. ':' .. priority
end

local function open_key(queue, priority)
  return queue .. ':open:' .. priority
end

local RECORDS = prefix .. 'jobs:records'
