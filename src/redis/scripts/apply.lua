-- Events -> the log and the state of it, in one step.
--
-- KEYS[1]  the head of the log
-- ARGV     what all keys begin with; publish, fill or open; now, by whoever calls; how many events to keep;
--          then of each event ten: R, S or U for revoked, suspended, resumed; the kind of target; the issuer after an "i",
--          or nothing; the id; issued up to, expires at, decided at (seconds, or nothing); slice; bucket; the event as JSON
--
-- Returns "ok" and the id of the last entry, or else: "absent", "there", or "format" and which.

local head = KEYS[1]
local base, mode, now, kept = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local log, issuers, slices = base .. 'log', base .. 'issuers', base .. 'slices'
local suspended, ends = base .. 'suspended', base .. 'suspended:ends'

local last
if mode == 'publish' then
  local known = redis.call('HMGET', head, 'format', 'head')
  if known[1] and known[1] ~= '1' then return {'format', known[1]} end
  if not known[1] or not known[2] then return {'absent'} end
  last = known[2]
elseif redis.call('EXISTS', head) == 1 then
  return {'there'}
elseif mode == 'open' then
  -- Of somebody who began to establish the log and did not come to the end.
  redis.call('DEL', suspended, ends)
end

local clock = redis.call('TIME')
local time = tonumber(clock[1])

-- When that may be forgotten: ten minutes later, by whichever clock is behind.
local function gone(instant)
  return math.max(instant, time + instant - now) + 600
end

local function whole(number)
  return string.format('%.0f', number)
end

local function later(one, other)
  if one == '' or other == '' then return '' end
  if tonumber(one) < tonumber(other) then return other end
  return one
end

-- Everything that is in what is known, or in these.
local function unite(key, field, issued, expires, decided)
  local known = redis.call('HGET', key, field)
  if known then
    local before_issued, before_expires, before_decided = string.match(known, '^(%d*)|(%d*)|(%d*)$')
    issued = later(before_issued or '', issued)
    expires = later(before_expires or '', expires)
    decided = later(before_decided or '', decided)
  end
  redis.call('HSET', key, field, issued .. '|' .. expires .. '|' .. decided)
  return expires
end

-- Never sooner than it was to be gone before.
local function expire(key, at)
  if redis.call('EXPIRETIME', key) < at then redis.call('EXPIREAT', key, whole(at)) end
end

local numbers = {['']= ''}
local function number(issuer)
  if not numbers[issuer] then
    local name = string.sub(issuer, 2)
    local known = redis.call('HGET', issuers, name)
    if not known then
      known = whole(redis.call('HLEN', issuers) + 1)
      redis.call('HSET', issuers, name, known)
    end
    numbers[issuer] = known
  end
  return numbers[issuer]
end

for i = 5, #ARGV, 10 do
  local happened, issued, expires, decided = ARGV[i], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  local slice, bucket = ARGV[i + 7], ARGV[i + 8]
  local field = ARGV[i + 1] .. number(ARGV[i + 2]) .. ':' .. ARGV[i + 3]
  if happened == 'R' then
    local entries, used = base .. 'r:' .. slice .. ':' .. bucket, base .. 'b:' .. slice
    if slice == '0' then
      unite(entries, field, issued, expires, decided)
      redis.call('SETBIT', used, bucket, 1)
      redis.call('ZADD', slices, '+inf', slice)
    else
      -- Where that is over, all of it goes at once.
      local at = gone(tonumber(slice))
      unite(entries, field, issued, expires, decided)
      redis.call('SETBIT', used, bucket, 1)
      expire(entries, at)
      expire(used, at)
      redis.call('ZADD', slices, 'GT', whole(at), slice)
    end
  elseif happened == 'S' then
    expires = unite(suspended, field, issued, expires, decided)
    if expires == '' then
      redis.call('ZREM', ends, field)
    else
      redis.call('ZADD', ends, whole(gone(tonumber(expires))), field)
    end
    -- As they come, so they go: a few at a time.
    for _, over in ipairs(redis.call('ZRANGE', ends, '-inf', whole(time), 'BYSCORE', 'LIMIT', '0', '4')) do
      redis.call('HDEL', suspended, over)
      redis.call('ZREM', ends, over)
    end
  else
    redis.call('HDEL', suspended, field)
    redis.call('ZREM', ends, field)
  end
  if mode == 'publish' then
    last = redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'p', last, 'e', ARGV[i + 9])
    redis.call('HSET', head, 'head', last)
  end
end

redis.call('ZREMRANGEBYSCORE', slices, '-inf', whole(time))
if mode == 'open' then
  -- An entry of its own: the head of this log is that of no other.
  last = redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'p', '0-0')
  redis.call('HSET', head, 'format', '1', 'head', last, 'born', clock[1])
end
return {'ok', last or ''}
