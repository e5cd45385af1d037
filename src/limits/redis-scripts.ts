/** Programs that run inside Redis. Each one is atomic, so that no other server can count in between. */

/**
 * Counts demands in their windows, or none of them. KEYS: the windows. ARGV: milliseconds of a window, then points and
 * limit of each. Returns 1 for a refusal or 0, then use and milliseconds left of each window up to the refused one.
 */
export const TAKE = `
local answer = {0}
for i, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  local left = redis.call('PTTL', key)
  table.insert(answer, used)
  table.insert(answer, left > 0 and left or tonumber(ARGV[1]))
  if used + tonumber(ARGV[2 * i]) > tonumber(ARGV[2 * i + 1]) then
    answer[1] = 1
    return answer
  end
end
for i, key in ipairs(KEYS) do
  answer[2 * i] = redis.call('INCRBY', key, ARGV[2 * i])
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
end
return answer`;

/** Corrects windows that have not ended. KEYS: the windows. ARGV: points to add to each, negative ones to give back. */
export const SETTLE = `
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    local used = redis.call('INCRBY', key, ARGV[i])
    if used < 0 then redis.call('INCRBY', key, -used) end
  end
end
return 0`;

/** The time is that of Redis, since the clocks of the servers differ. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Takes a slot of each meter, or none. KEYS: sorted sets of the runs, by the end of their lease. ARGV: milliseconds of
 * a lease, the run, then the limit of each meter. Returns {place of the full meter from 1, its runs}, or {0, 0}.
 */
export const BEGIN = `${NOW}
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local running = redis.call('ZCARD', key)
  if running >= tonumber(ARGV[2 + i]) then return {i, running} end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[1], ARGV[2])
  redis.call('PEXPIRE', key, ARGV[1])
end
return {0, 0}`;

/** Renews the leases of runs of one meter. KEYS: its sorted set. ARGV: milliseconds of a lease, then the runs. */
export const RENEW = `${NOW}
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 0`;
