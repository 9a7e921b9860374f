#!lua flags=allow-oom
-- Runs one write also where the server has reached maxmemory: what lets the queue drain must get through.
--
-- KEYS[1]  the key to write
-- ARGV[1]  key prefix
-- ARGV[2]  command
-- ARGV[3…] its arguments after the key
--
-- Returns  what the command returns

return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
