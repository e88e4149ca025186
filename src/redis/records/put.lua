-- Ends the lease, if it is the holder's, and puts the record there, unless one of a later question is. KEYS: record,
-- lease. ARGV: the time or '', the holder or '', when it was asked for and its rank, for how long, what it says.
if ARGV[2] ~= '' then
  local held = redis.call('GET', KEYS[2])
  if held and string.sub(held, 21) == ARGV[2] then
    redis.call('DEL', KEYS[2])
  end
end
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local record = redis.call('GET', KEYS[1])
if record then
  local asked = tonumber(string.sub(record, 1, 20))
  -- Digits of one length are in the order of their numbers.
  if asked and asked <= now and string.sub(record, 1, 21) > ARGV[3] then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[3] .. ARGV[5], 'PX', ARGV[4])
return 1
