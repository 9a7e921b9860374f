#!lua flags=allow-oom
-- Forgets what the shadow jobs of a queue have found, as they begin anew. May be repeated.
--
-- KEYS[1]  the queue of the shadow jobs
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of what is counted, ms
--
-- Returns  nothing

--- @include "base"
--- @include "clock"
--- @include "comparisons"

local now = format_int(now_ms())
forget_comparisons(KEYS[1], now)
call('HSET', KEYS[1] .. ':comparisons', 'since_ms', now)
keep_comparisons(KEYS[1], ARGV[2])
