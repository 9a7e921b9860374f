#!lua flags=allow-oom
-- Leases the job to a worker that a BRPOP has handed to it, and those that wait behind it.
--
-- KEYS[1]  queue:{model} of the list that the job was popped from
-- ARGV[1]  key prefix
-- ARGV[2]  lease, ms; up to ARGV[8] as for `claim`
-- ARGV[9]  id of the job
-- ARGV[10] priority of the list
-- ARGV[11] model
-- ARGV[12] the model's version
-- ARGV[13] most jobs to lease; 0 for this one alone
--
-- Returns  as `claim`

--- @include "claim_again"
--- @include "claiming"
--- @include "jobs"

check_records()
local again = claim_again()
if again then return again end
local queue, model = KEYS[1], ARGV[11]
choose_model(ARGV[12])
local _, answer = claim_each(queue, model, {ARGV[9]}, ARGV[10])
if answer == 'next' then claim_from_queue(queue, model, tonumber(ARGV[13])) end
return finish_claim(queue, model)
