namespace Fairlead.Limits.Redis;

/// <summary>
/// The scripts that run in Redis, each on the keys of one organization and so in one hash slot. A rate is the text
/// "missing time limit": what is missing until the bucket is full (tokens × microseconds of a minute), when that was (microseconds), and the
/// rate by which it refills since then. Concurrency is a sorted set: one member for each call that runs, with the time at which it expires.
/// </summary>
/// <remarks>
/// Numbers are doubles, exact up to 2^53: rates whose capacity is below 150 million are exact, larger ones within a trillionth. The first
/// argument is the time in microseconds; 0, except in tests, for that of the server.
/// </remarks>
internal static class RateScripts
{
    private const string Common = """
        local MINUTE = 60000000
        local now = tonumber(ARGV[1])
        if now == 0 then
          local time = redis.call('TIME')
          now = tonumber(time[1]) * 1000000 + tonumber(time[2])
        end

        -- What is missing, and whether it must be written although nothing is taken: from now on it refills at another rate, or the clock
        -- was set back, so that it would not refill before the old time.
        local function read(key, rate)
          local value = redis.call('GET', key)
          if not value then return 0, false end
          local missing, at, limit = string.match(value, '^(%S+) (%S+) (%S+)$')
          missing, at, limit = tonumber(missing), tonumber(at), tonumber(limit)
          if now > at then missing = math.max(0, missing - (now - at) * limit) end
          return missing, limit ~= rate or at > now
        end

        -- Expires a minute after it is full again, when it is the same as no key.
        local function write(key, missing, limit)
          local ttl = math.min(math.ceil(missing / limit / 1000), 2592000000) + 60000
          redis.call('SET', key, string.format('%.0f %.0f %.0f', missing, now, limit), 'PX', string.format('%.0f', ttl))
        end

        -- Without the calls of nodes that have not shown for a lease that they run.
        local function count(key)
          redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
          return redis.call('ZCARD', key)
        end

        """;

    /// <summary>
    /// Takes all or nothing. Arguments: time, number of rates, member, lease in milliseconds; limit, capacity and amount of each rate; limit
    /// of each concurrency. Returns "1" or "0", what is missing of each rate, and the count of each concurrency, after it took them. A member
    /// of an earlier try, whose response was lost, does not count against itself.
    /// </summary>
    public const string Reserve = Common + """
        local rates, member, lease = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
        local missing, counts, taken = {}, {}, true
        for i = 1, rates do
          local at = 4 + (i - 1) * 3
          local limit, capacity, amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
          local is, changed = read(KEYS[i], limit)
          missing[i] = is
          if changed then write(KEYS[i], is, limit) end
          if amount > 0 and is + amount * MINUTE > capacity * MINUTE * (1 + 1e-12) then taken = false end
        end
        for i = rates + 1, #KEYS do
          counts[i] = count(KEYS[i])
          if counts[i] >= tonumber(ARGV[4 + rates * 2 + i]) and not redis.call('ZSCORE', KEYS[i], member) then taken = false end
        end
        local reply = { taken and '1' or '0' }
        for i = 1, rates do
          local at = 4 + (i - 1) * 3
          local limit, amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
          if taken and amount > 0 then
            missing[i] = missing[i] + amount * MINUTE
            write(KEYS[i], missing[i], limit)
          end
          reply[#reply + 1] = string.format('%.0f', missing[i])
        end
        for i = rates + 1, #KEYS do
          if taken then
            counts[i] = counts[i] + redis.call('ZADD', KEYS[i], string.format('%.0f', now + lease * 1000), member)
            redis.call('PEXPIRE', KEYS[i], lease)
          end
          reply[#reply + 1] = string.format('%.0f', counts[i])
        end
        return table.concat(reply, ' ')
        """;

    /// <summary>
    /// Adds to rates what was used beyond the reservation, or gives back the rest, and ends a call. Arguments: time, number of rates, member;
    /// limit and difference of each rate. Returns the same as <see cref="Reserve"/>.
    /// </summary>
    public const string Settle = Common + """
        local rates, member = tonumber(ARGV[2]), ARGV[3]
        local reply = { '1' }
        for i = 1, rates do
          local limit, difference = tonumber(ARGV[2 + i * 2]), tonumber(ARGV[3 + i * 2])
          local missing, changed = read(KEYS[i], limit)
          if changed or difference ~= 0 then
            missing = math.max(0, missing + difference * MINUTE)
            write(KEYS[i], missing, limit)
          end
          reply[#reply + 1] = string.format('%.0f', missing)
        end
        for i = rates + 1, #KEYS do
          redis.call('ZREM', KEYS[i], member)
          reply[#reply + 1] = string.format('%.0f', count(KEYS[i]))
        end
        return table.concat(reply, ' ')
        """;

    /// <summary>
    /// Adds to a rate what was used of it. The second key names the report: the same one counts once in ten minutes. Arguments: time, limit,
    /// amount. Returns whether it was added.
    /// </summary>
    public const string Report = Common + """
        if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', 600000) then return 0 end
        local limit = tonumber(ARGV[2])
        write(KEYS[1], read(KEYS[1], limit) + tonumber(ARGV[3]) * MINUTE, limit)
        return 1
        """;

    /// <summary>Shows that calls still run. Arguments: time, lease in milliseconds, members, at most a thousand.</summary>
    public const string Hold = Common + """
        local lease = tonumber(ARGV[2])
        local expiry, members = string.format('%.0f', now + lease * 1000), {}
        for i = 3, #ARGV do
          members[#members + 1] = expiry
          members[#members + 1] = ARGV[i]
        end
        redis.call('ZADD', KEYS[1], unpack(members))
        redis.call('PEXPIRE', KEYS[1], lease)
        return count(KEYS[1])
        """;

    /// <summary>Shows that a node is alive. Arguments: time, lease in milliseconds, node. Returns the number of nodes that are.</summary>
    public const string Beat = Common + """
        local lease = tonumber(ARGV[2])
        redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease * 1000), ARGV[3])
        redis.call('PEXPIRE', KEYS[1], lease)
        return count(KEYS[1])
        """;
}
