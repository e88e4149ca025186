-- Ends the lease, if it is the holder's, and removes the record, if it was asked for then. KEYS: record, lease. ARGV: the
-- holder or '', the time or ''.
if ARGV[1] ~= '' then
  local held = redis.call('GET', KEYS[2])
  if held and string.sub(held, 21) == ARGV[1] then
    redis.call('DEL', KEYS[2])
  end
end
if ARGV[2] ~= '' then
  local record = redis.call('GET', KEYS[1])
  if record and string.sub(record, 1, 20) == ARGV[2] then
    redis.call('DEL', KEYS[1])
  end
end
return 1
