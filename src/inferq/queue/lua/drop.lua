#!lua flags=allow-oom
-- Deletes an ended job and whatever names it.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  lifetime of an ended job, ms
--
-- Returns  'dropped', its public status (it has not ended: nothing changed), or false (no such job)

local id, ttl_ms = ARGV[2], ARGV[3]
local PARTS = {'data', 'status', 'result', 'error', 'meta'}
local meta = call('HMGET', job_key(id, 'meta'), 'state', 'priority', 'model')
local state, priority, model = meta[1], meta[2], meta[3]
local status = call('GET', job_key(id, 'status'))

if not state then -- from outside, and no script of ours has seen it
  if status ~= 'completed' and status ~= 'failed' then
    return status or (call('EXISTS', job_key(id, 'data')) == 1 and 'pending')
  end
elseif state ~= 'ended' then
  local ended = close_if_ended_outside(queue_key(model), id, priority, ttl_ms, now_ms())
  if not ended then return status or 'pending' end
  publish({id .. ':' .. ended})
end

for _, part in ipairs(PARTS) do call('UNLINK', job_key(id, part)) end
if model then call('ZREM', queue_key(model) .. ':dead', id) end
call('ZREM', prefix .. 'webhooks', id)
return 'dropped'
