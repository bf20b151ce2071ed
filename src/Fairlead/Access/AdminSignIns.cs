using System.Collections.Concurrent;
using System.Net;
using Fairlead.Errors;

namespace Fairlead.Access;

/// <summary>
/// Records the use of keys at the admin API: the first use of a key on each day (UTC) by this process, and refused attempts. Of equal
/// refusals, one a second is recorded, with the number of those left out before. Thread-safe; a lookup for a key that is known.
/// </summary>
internal sealed class AdminSignIns(IAdminAudit audit, TimeProvider time)
{
    /// <summary>Keys and addresses that are remembered; above it, all are forgotten.</summary>
    private const int MaxRemembered = 10_000;

    private static readonly TimeSpan RefusalInterval = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, long> _days = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Who, string Code), (long At, int Suppressed)> _refusals = [];
    private readonly Lock _gate = new();

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
        var code = error.Definition.Name;
        if (!TryCount((caller?.KeyId ?? address?.ToString() ?? "", code), out var suppressed)) return;
        var actor = caller is null
            ? new AdminActor(AdminActor.Unknown) { Address = address, RequestId = requestId }
            : AdminActor.Of(caller, address, requestId);
        audit.Record(new AdminAction(actor, AdminAction.Refused)
        {
            ResourceType = "request",
            ResourceId = request.Length > 200 ? request[..200] : request,
            ErrorCode = code,
            Status = error.Definition.Status,
            Suppressed = suppressed,
        });
    }

    private bool TryCount((string Who, string Code) refusal, out int suppressed)
    {
        lock (_gate)
        {
            suppressed = 0;
            if (_refusals.TryGetValue(refusal, out var known))
            {
                if (time.GetElapsedTime(known.At) < RefusalInterval)
                {
                    _refusals[refusal] = (known.At, known.Suppressed + 1);
                    return false;
                }
                suppressed = known.Suppressed;
            }
            else if (_refusals.Count >= MaxRemembered)
            {
                _refusals.Clear();
            }
            _refusals[refusal] = (time.GetTimestamp(), 0);
            return true;
        }
    }
}
