-- Give KEYS[i] the value ARGV[i] unless what it holds is newer. Returns how many keys were given their value.
--
-- Bytes 1-5 say format and schema: a stored value of another schema cannot be read any more and gives way. Bytes 6-21
-- are event_time and known_at, unsigned and big-endian. They are compared as four 32-bit numbers, because Lua's numbers
-- are doubles and its string comparison follows the server's locale. At equal times the larger bytes stay, so that
-- writers who race end at the same value in whatever order they come; equal bytes are not written again.

local function larger(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local function wins(key, new, old)
  if #old < 21 or string.sub(old, 1, 5) ~= string.sub(new, 1, 5) then return true end
  local a, b, c, d = struct.unpack('>I4I4I4I4', new, 6)
  local e, f, g, h = struct.unpack('>I4I4I4I4', old, 6)
  if a ~= e then return a > e end
  if b ~= f then return b > f end
  if c ~= g then return c > g end
  if d ~= h then return d > h end
  local whole = redis.call('GET', key)
  return whole ~= new and larger(new, whole)
end

local kept = 0
for i, key in ipairs(KEYS) do
  if wins(key, ARGV[i], redis.call('GETRANGE', key, 0, 20)) then
    redis.call('SET', key, ARGV[i])
    kept = kept + 1
  end
end
return kept
