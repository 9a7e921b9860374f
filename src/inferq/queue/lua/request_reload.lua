-- Lets all workers read the model repository again. Repeated, it lets them do so once more.
--
-- KEYS[1]  models:generation
-- ARGV[1]  key prefix
--
-- Returns  the generation that live workers report once they have

--- @include "generation"

return begin_generation()
