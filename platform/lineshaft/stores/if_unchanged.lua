-- Give KEYS[i] the value ARGV[2 * i] if it still holds ARGV[2 * i - 1]; an empty value removes the key.
-- Returns for how many that was so: whatever was written meanwhile stays.

local done = 0
for i = 1, #KEYS do
  local key, old, new = KEYS[i], ARGV[2 * i - 1], ARGV[2 * i]
  if redis.pcall('GET', key) == old then
    if new == '' then redis.call('UNLINK', key) else redis.call('SET', key, new) end
    done = done + 1
  end
end
return done
