-- Submissions that are made again with the same idempotency key.

--- @include "base"
--- @include "keys"

-- Writes, and changes nothing: a wait for the disk after a repeated submit covers the first one too.
local function rewrite_record(id)
  local record = call('HGET', RECORDS, id)
  if record then call('HSET', RECORDS, id, record) end
end

-- The answer that an earlier submit with the same key stands for; nil if there was none whose job is still known, or one
-- of those in `is_new`, which this call makes.
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
