-- Events -> the log and the state of it, in one step.
--
-- KEYS[1]  the head of the log
-- ARGV     what all keys begin with; publish, fill or open; now, by whoever calls; how many events to keep; who publishes,
--          the number of this publication, and the least of those that have not come to an end there;
--          then of each event ten: R, S or U for revoked, suspended, resumed; the kind of target; the issuer after an "i",
--          or nothing; the id; issued up to, expires at, decided at (seconds, or nothing); slice; bucket; the event as JSON
--
-- Returns "ok" and the id of the last entry, or else: "absent", "there", "late", or "format" and which.

local head = KEYS[1]
local base, mode, now, kept = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local log, issuers, slices = base .. 'log', base .. 'issuers', base .. 'slices'
local suspended, ends = base .. 'suspended', base .. 'suspended:ends'
-- How much there should be of what may be missing: it stands in the head, or in what becomes one.
local counts = head

local function count(name, more)
  if more ~= 0 then redis.call('HINCRBY', counts, name, more) end
end

local last
if mode == 'publish' then
  local known = redis.call('HMGET', head, 'format', 'head')
  if known[1] and known[1] ~= '1' then return {'format', known[1]} end
  if not known[1] or not known[2] then return {'absent'} end
  last = known[2]
  -- It was on its way while its publisher gave it up and said something else.
  local fence = base .. 'p:' .. ARGV[5]
  local least = tonumber(redis.call('GET', fence) or '0')
  if tonumber(ARGV[6]) < least then return {'late'} end
  if tonumber(ARGV[7]) > least then redis.call('SET', fence, ARGV[7], 'EX', 86400) end
elseif redis.call('EXISTS', head) == 1 then
  return {'there'}
else
  counts = base .. 'filling'
  if redis.call('HEXISTS', counts, 'issuers') == 0 then
    -- Of a log that was there before.
    local most = 0
    for _, known in ipairs(redis.call('HVALS', issuers)) do most = math.max(most, tonumber(known)) end
    redis.call('HSET', counts, 'issuers', most)
  end
  if mode == 'open' then
    -- Of a log that was lost, or of somebody who began to establish this one and did not come to the end.
    redis.call('DEL', log, suspended, ends)
    redis.call('HDEL', counts, 'suspended')
  end
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

-- Where the next entry stands: a time, and a digest of what it says and what came before it. So a position tells the whole
-- history up to it. Two servers that both take themselves for the master give the same one to the same events only, as
-- numbers that are counted up would not.
local function after(previous, event)
  local digest = redis.sha1hex(previous .. ' ' .. event)
  local upper, lower = string.match(previous, '^(%d+)-(%d+)$')
  upper, lower = tonumber(upper), tonumber(lower)
  local milliseconds = time * 1000 + math.floor(tonumber(clock[2]) / 1000)
  -- All of this is exact in a double.
  if milliseconds <= upper and lower < 2 ^ 52 then
    return whole(upper) .. '-' .. whole(lower + 1 + tonumber(string.sub(digest, 1, 7), 16))
  end
  return whole(math.max(milliseconds, upper + 1)) .. '-' .. whole(tonumber(string.sub(digest, 1, 12), 16))
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
  return expires, redis.call('HSET', key, field, issued .. '|' .. expires .. '|' .. decided)
end

-- Never sooner than it was to be gone before.
local function expire(key, at)
  if redis.call('EXPIRETIME', key) < at then redis.call('EXPIREAT', key, whole(at)) end
end

-- By slice, how many entries are new.
local more = {}
local function revoke(slice, bucket, field, issued, expires, decided)
  local entries, used = base .. 'r:' .. slice .. ':' .. bucket, base .. 'b:' .. slice
  local _, new = unite(entries, field, issued, expires, decided)
  more[slice] = (more[slice] or 0) + new
  redis.call('SETBIT', used, bucket, 1)
  if slice == '0' then return redis.call('ZADD', slices, '+inf', slice) end
  -- Where that is over, all of it goes at once.
  local at = gone(tonumber(slice))
  expire(entries, at)
  expire(used, at)
  redis.call('ZADD', slices, 'GT', whole(at), slice)
end

local numbers = {['']= ''}
local function number(issuer)
  if not numbers[issuer] then
    local name = string.sub(issuer, 2)
    local known = redis.call('HGET', issuers, name)
    if not known then
      known = whole(redis.call('HINCRBY', counts, 'issuers', 1))
      redis.call('HSET', issuers, name, known)
    end
    numbers[issuer] = known
  end
  return numbers[issuer]
end

for i = 8, #ARGV, 10 do
  local happened, issued, expires, decided = ARGV[i], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  local slice, bucket = ARGV[i + 7], ARGV[i + 8]
  local field = ARGV[i + 1] .. number(ARGV[i + 2]) .. ':' .. ARGV[i + 3]
  if happened == 'R' then
    revoke(slice, bucket, field, issued, expires, decided)
  elseif happened == 'S' then
    local new
    expires, new = unite(suspended, field, issued, expires, decided)
    count('suspended', new)
    if expires == '' then
      redis.call('ZREM', ends, field)
    else
      redis.call('ZADD', ends, whole(gone(tonumber(expires))), field)
    end
    -- As they come, so they go: a few at a time.
    for _, over in ipairs(redis.call('ZRANGE', ends, '-inf', whole(time), 'BYSCORE', 'LIMIT', '0', '4')) do
      count('suspended', -redis.call('HDEL', suspended, over))
      redis.call('ZREM', ends, over)
    end
  else
    count('suspended', -redis.call('HDEL', suspended, field))
    redis.call('ZREM', ends, field)
  end
  if mode == 'publish' then
    last = redis.call('XADD', log, 'MAXLEN', '~', kept, after(last, ARGV[i + 9]), 'p', last, 'e', ARGV[i + 9])
    redis.call('HSET', head, 'head', last)
  end
end

for slice, new in pairs(more) do count('s:' .. slice, new) end
for _, slice in ipairs(redis.call('ZRANGE', slices, '-inf', whole(time), 'BYSCORE')) do
  redis.call('ZREM', slices, slice)
  redis.call('HDEL', counts, 's:' .. slice)
end
if mode == 'open' then
  -- An entry of its own: the head of this log is that of no other.
  last = redis.call('XADD', log, 'MAXLEN', '~', kept, after('0-0', clock[1] .. ' ' .. clock[2]), 'p', '0-0')
  -- What is left of a log that was there before counts, as far as it is left.
  for _, slice in ipairs(redis.call('ZRANGE', slices, '0', '-1')) do redis.call('HSETNX', counts, 's:' .. slice, '0') end
  redis.call('HSET', counts, 'format', '1', 'head', last, 'born', clock[1])
  redis.call('RENAME', counts, head)
end
return {'ok', last or ''}
