-- The record, if it is good enough; else a lease, if one is wanted and nobody holds it. KEYS: record, lease.
-- ARGV: the time or '', the greatest age, what it must not be or '', the holder or '', the length of the lease.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local shown = string.format('%.0f', now)
local record = redis.call('GET', KEYS[1])
if record then
  local asked = tonumber(string.sub(record, 1, 20))
  if asked and asked <= now and now - asked <= tonumber(ARGV[2]) and string.sub(record, 1, 20) ~= ARGV[3] then
    return { shown, record, 0 }
  end
end
if ARGV[4] == '' then
  return { shown, false, 0 }
end
local length = tonumber(ARGV[5])
local held = redis.call('GET', KEYS[2])
local ends = held and tonumber(string.sub(held, 1, 20))
-- One that ends later than any could was given before the clock was set back.
if ends and ends > now and ends <= now + length then
  return { shown, false, 0 }
end
redis.call('SET', KEYS[2], string.format('%020.0f', now + length) .. ARGV[4], 'PX', math.ceil(length / 1000))
return { shown, false, 1 }
