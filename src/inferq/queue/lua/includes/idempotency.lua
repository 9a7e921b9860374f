-- Submissions that are made again with the same idempotency key.

--- @include "base"
--- @include "keys"

-- Writes, and changes nothing: a wait for the disk after a repeated submit then covers the first one too.
local function rewrite_record(id)
  local record = call('HGET', RECORDS, id)
  if record then call('HSET', RECORDS, id, record) end
end

-- The answer to a submit whose key an earlier one had; nil if there was none of which a job is still known. The jobs in `is_new` are
-- being made by this call.
local function find_earlier(idempotency, is_new)
  local kept = call('GET', prefix .. 'idempotency:' .. idempotency.key)
  if not kept then return nil end
  local fingerprint, ids = kept:match('^(%x+):(.*)$')
  local first = ids:match('^[^,]*')
  if not is_new[first] and call('EXISTS', job_key(first, 'status')) == 0 then return nil end
  if fingerprint ~= idempotency.fingerprint then return {'conflict'} end
  if not is_new[first] then rewrite_record(first) end
  return {'same', ids}
end

local function remember(idempotency, ids)
  call('SET', prefix .. 'idempotency:' .. idempotency.key, idempotency.fingerprint .. ':' .. ids, 'PX',
    idempotency.ttl_ms)
end
