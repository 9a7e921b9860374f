-- The models that are announced, and those of which jobs are kept.

--- @include "base"

local function find_models(models_key)
  local found, is_there = {}, {}
  for _, names in ipairs({read_safely('HKEYS', models_key) or {}, read_safely('SMEMBERS', prefix .. 'jobs:queues') or {}}) do
    for _, model in ipairs(names) do
      if not is_there[model] then found[#found + 1] = model end
      is_there[model] = true
    end
  end
  return found
end
