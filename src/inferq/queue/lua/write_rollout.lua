-- Replaces what is said of a model's versions, unless that has changed since it was read. Repeated, it changes nothing.
--
-- KEYS[1]  models:rollouts
-- ARGV[1]  key prefix
-- ARGV[2]  model
-- ARGV[3]  what was read, JSON; '' for nothing
-- ARGV[4]  what it is to be; '' for nothing
--
-- Returns  the generation in which workers follow it, or nil where it is not any more what was read

--- @include "base"
--- @include "generation"

local model, expected, rollout = ARGV[2], ARGV[3], ARGV[4]
local stored = call('HGET', KEYS[1], model) or ''
if stored == rollout then return read_generation() end
if stored ~= expected then return nil end
if rollout == '' then call('HDEL', KEYS[1], model) else call('HSET', KEYS[1], model, rollout) end
return begin_generation()
