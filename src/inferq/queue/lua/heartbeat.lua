#!lua flags=allow-oom
-- Reports that a worker lives, and announces again the models that Redis has lost.
--
-- KEYS[1]  workers
-- ARGV[1]  key prefix
-- ARGV[2]  worker id
-- ARGV[3]  lifetime of the report, ms
-- ARGV[4]  number n of fields of the report
-- ARGV[5…] n field names and values, then pairs of model name and document
--
-- Returns  the server's time, ms

local id, ttl_ms, fields = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local worker_key = prefix .. 'worker:' .. id
local report = {'seen_ms', now}
for i = 5, 4 + 2 * fields do report[#report + 1] = ARGV[i] end
call('HSET', worker_key, unpack(report))
call('PEXPIRE', worker_key, ttl_ms)
call('ZADD', KEYS[1], now, id)
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl_ms)
call('SET', prefix .. 'workers:seen', now)
for i = 5 + 2 * fields, #ARGV, 2 do
  call('HSETNX', prefix .. 'models', ARGV[i], ARGV[i + 1])
end
return now
