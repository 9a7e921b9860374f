#!lua flags=allow-oom
-- Purges some ended jobs of a model whose time is over, and ends some that waited too long: of a model that the calling worker
-- does not serve, and perhaps none does.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  model
-- ARGV[3]  lifetime of an ended job, ms
-- ARGV[4]  how long a job may wait before it has expired, ms
-- ARGV[5]  most jobs of each priority to end
--
-- Returns  ends, see `ends`

--- @include "clock"
--- @include "counters"
--- @include "events"
--- @include "expiry"
--- @include "jobs"
--- @include "queue_retention"

local ttl_ms, now = tonumber(ARGV[3]), now_ms()
check_records()
expire_waiting(KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[4]), ttl_ms, now)
expire_unstarted(KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[4]), ttl_ms, now)
purge_queue(KEYS[1], ARGV[2], now, ttl_ms)
write_counts(now)
publish_events()
return unreported
