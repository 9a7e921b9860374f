-- Writes, as a submit does, and takes it back: refused where a new job would be, for want of memory too.
--
-- KEYS[1]  a key that is used for nothing else
-- ARGV[1]  key prefix
--
-- Returns  nothing

redis.call('PSETEX', KEYS[1], 1000, '')
redis.call('UNLINK', KEYS[1])
