using System.Diagnostics.Metrics;

namespace Fairlead.Access;

/// <summary>Counts what authentication refuses. No tags: addresses and keys have too many values. Thread-safe.</summary>
internal sealed class AccessMetrics(IMeterFactory meters)
{
    private readonly Counter<long> _wrong = meters.Create("Fairlead").CreateCounter<long>(
        "fairlead.authentication.wrong_keys", "{key}", "Requests with a key or token that is not valid here.");

    private readonly Counter<long> _refused = meters.Create("Fairlead").CreateCounter<long>(
        "fairlead.authentication.refusals", "{request}", "Requests that were refused because their address had sent too many wrong keys.");

    public void WrongKey() => _wrong.Add(1);

    public void Refused() => _refused.Add(1);
}
