-- Give KEYS[i] the value ARGV[i] unless what it holds is newer. Returns how many values were kept.
--
-- Bytes 1-5 say format and schema: a stored value of another schema cannot be read any more and gives way. Bytes 6-21
-- are event_time and known_at, unsigned and big-endian. They are compared as four 32-bit numbers, because Lua's numbers
-- are doubles and its string comparison follows the server's locale. At equal times the larger bytes stay, so that
-- writers who race end at the same value in whatever order they come; equal bytes are not written again.
--
-- One MGET and one MSET for all keys: a call from Lua costs more than a row.

local sub, byte, numbers = string.sub, string.byte, struct.unpack

local function larger(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local function wins(new, old)
  if #old < 21 or sub(old, 1, 5) ~= sub(new, 1, 5) then return true end
  local a, b = numbers('>I4I4', new, 6)
  local c, d = numbers('>I4I4', old, 6)
  if a ~= c then return a > c end
  if b ~= d then return b > d end
  a, b = numbers('>I4I4', new, 14)
  c, d = numbers('>I4I4', old, 14)
  if a ~= c then return a > c end
  if b ~= d then return b > d end
  return new ~= old and larger(new, old)
end

local kept, writes = 0, {}
local held = redis.call('MGET', unpack(KEYS))
local place = {} -- where a key of this batch stands in `writes`: a key may come twice
for i = 1, #KEYS do
  local key, new = KEYS[i], ARGV[i]
  local at = place[key]
  local old = at and writes[at + 1] or held[i]
  if not old or wins(new, old) then
    if not at then
      at = #writes + 1
      place[key] = at
      writes[at] = key
    end
    writes[at + 1] = new
    kept = kept + 1
  end
end
if kept > 0 then redis.call('MSET', unpack(writes)) end
return kept
