#!lua flags=allow-oom
-- Forgets some ended jobs of a model whose time is over: of one that the calling worker does not serve, and perhaps nobody.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  model
-- ARGV[3]  lifetime of an ended job, ms
--
-- Returns  nothing

check_records()
forget_in(KEYS[1], ARGV[2], now_ms(), tonumber(ARGV[3]))
