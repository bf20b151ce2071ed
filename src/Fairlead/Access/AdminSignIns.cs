using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Fairlead.Errors;

namespace Fairlead.Access;

/// <summary>
/// Records the use of keys at the admin API: the first use of a key on each day (UTC) by this process, and refused attempts. Of equal
/// refusals, one a second is recorded, with the number of those left out before. Whatever addresses they come from, all refusals together
/// leave few records a second; the rest is counted in one record for each code. Thread-safe; a lookup for a key that is known.
/// </summary>
internal sealed class AdminSignIns(IAdminAudit audit, TimeProvider time) : IDisposable
{
    /// <summary>Maximum records a second of attempts without a valid key. Anyone can cause them.</summary>
    internal const int MaxUnknownPerSecond = 10;

    /// <summary>Maximum records a second of attempts with a key of this server, apart from the others, which must not hide them.</summary>
    internal const int MaxKnownPerSecond = 20;

    /// <summary>Keys and addresses that are remembered; above it, all are forgotten.</summary>
    internal const int MaxRemembered = 10_000;

    private static readonly TimeSpan RefusalInterval = TimeSpan.FromSeconds(1);

    /// <summary>Those left out are recorded after this time, if no further one of their kind has told of them.</summary>
    internal static readonly TimeSpan SumInterval = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, long> _days = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Who, string Code), (long At, int Suppressed)> _refusals = [];
    private readonly Dictionary<string, (int Status, int Count)> _uncounted = new(StringComparer.Ordinal);
    private readonly (long Second, int Count)[] _rates = new (long, int)[2];
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private bool _isDue;

    /// <summary>A key with the scope of the endpoint has been accepted.</summary>
    public void Accepted(Caller caller, IPAddress? address, string requestId)
    {
        var day = time.GetUtcNow().Ticks / TimeSpan.TicksPerDay;
        if (_days.TryGetValue(caller.KeyId, out var known) && known == day) return;
        if (_days.Count >= MaxRemembered) _days.Clear();
        _days[caller.KeyId] = day;
        audit.Record(new AdminAction(AdminActor.Of(caller, address, requestId), AdminAction.SignIn));
    }

    /// <summary>An attempt was refused: without a valid key, or without the right to do it.</summary>
    /// <param name="caller">The owner of the key; null if it is not one of this server.</param>
    /// <param name="address">Where it came from.</param>
    /// <param name="requestId">The id of the request.</param>
    /// <param name="error">Why.</param>
    /// <param name="request">Method and path.</param>
    public void Refused(Caller? caller, IPAddress? address, string requestId, GatewayError error, string request)
    {
        var (code, status) = (error.Definition.Name, error.Definition.Status);
        if (!TryCount(caller?.KeyId ?? NetworkOf(address), code, status, caller is not null, out var suppressed)) return;
        var actor = caller is null
            ? new AdminActor(AdminActor.Unknown) { Address = address, RequestId = requestId }
            : AdminActor.Of(caller, address, requestId);
        audit.Record(new AdminAction(actor, AdminAction.Refused)
        {
            ResourceType = "request",
            ResourceId = request.Length > 200 ? request[..200] : request,
            ErrorCode = code,
            Status = status,
            Suppressed = suppressed,
        });
    }

    public void Dispose() => _timer?.Dispose();

    /// <summary>Records what was left out, for each code in one record without a key or an address.</summary>
    internal void RecordSums()
    {
        KeyValuePair<string, (int Status, int Count)>[] sums;
        lock (_gate)
        {
            _isDue = false;
            CollectSuppressed();
            sums = [.. _uncounted];
            _uncounted.Clear();
        }
        foreach (var (code, (status, count)) in sums)
        {
            audit.Record(new AdminAction(new AdminActor(AdminActor.Unknown), AdminAction.Refused)
            {
                ErrorCode = code, Status = status, Suppressed = count,
            });
        }
    }

    // One client has all addresses of a network of 64 bits.
    internal static string NetworkOf(IPAddress? address)
    {
        if (address is { IsIPv4MappedToIPv6: true }) address = address.MapToIPv4();
        if (address is not { AddressFamily: AddressFamily.InterNetworkV6 }) return address?.ToString() ?? "";
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        return Convert.ToHexString(bytes[..8]);
    }

    private bool TryCount(string who, string code, int status, bool isKnown, out int suppressed)
    {
        lock (_gate)
        {
            suppressed = 0;
            if (_refusals.TryGetValue((who, code), out var known))
            {
                if (time.GetElapsedTime(known.At) < RefusalInterval)
                {
                    _refusals[(who, code)] = (known.At, known.Suppressed + 1);
                    _uncounted.TryAdd(code, (status, 0));
                    SumLater();
                    return false;
                }
                suppressed = known.Suppressed;
            }
            if (!TakeRate(isKnown))
            {
                _uncounted[code] = (status, _uncounted.GetValueOrDefault(code).Count + 1);
                SumLater();
                suppressed = 0;
                return false;
            }
            if (_refusals.Count >= MaxRemembered)
            {
                CollectSuppressed();
                _refusals.Clear();
            }
            _refusals[(who, code)] = (time.GetTimestamp(), 0);
            return true;
        }
    }

    private bool TakeRate(bool isKnown)
    {
        ref var rate = ref _rates[isKnown ? 1 : 0];
        var second = time.GetUtcNow().ToUnixTimeSeconds();
        if (rate.Second != second) rate = (second, 0);
        return ++rate.Count <= (isKnown ? MaxKnownPerSecond : MaxUnknownPerSecond);
    }

    // What is added to the sums must not be told again with the next refusal of its kind.
    private void CollectSuppressed()
    {
        foreach (var (key, (at, count)) in _refusals.ToArray())
        {
            if (count == 0) continue;
            var (status, sum) = _uncounted.GetValueOrDefault(key.Code);
            _uncounted[key.Code] = (status, sum + count);
            _refusals[key] = (at, 0);
        }
        foreach (var (code, (_, count)) in _uncounted.ToArray())
        {
            if (count == 0) _uncounted.Remove(code);
        }
    }

    private void SumLater()
    {
        if (_isDue) return;
        _isDue = true;
        _timer ??= time.CreateTimer(_ => RecordSums(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(SumInterval, Timeout.InfiniteTimeSpan);
    }
}
