using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Security;

namespace Fairlead.Validation;

/// <summary>
/// Refuses URLs in requests that lead into a private network. A model server in the operator's network fetches such URLs itself, so a
/// caller could read from that network through it (server-side request forgery). Thread-safe.
/// </summary>
/// <remarks>
/// A name is looked up here and again by the provider, so a result that changes in between is not noticed. A name that has no address
/// passes: a gateway need not be able to resolve what the provider resolves. A lookup that does not end in time is no such result: it
/// refuses the request, or many slow names would let an internal one pass.
/// </remarks>
internal sealed class HostCheck(IConfigurationSource configuration, IHostResolver resolver, TimeProvider time) : IDisposable
{
    /// <summary>How long one request waits for name lookups.</summary>
    internal static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(1);

    /// <summary>How long the result of a lookup is used again.</summary>
    internal static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    private const int MaxKnown = 10_000;

    private static readonly GatewayError Late = new(ErrorCode.Overloaded, "The hosts of the addresses in the request could not be resolved in time.")
    {
        RetryAfter = MaxWait,
        Remedy = "Repeat the request, or send the bytes in base64.",
    };

    // A lookup occupies a thread of the pool.
    private readonly SemaphoreSlim _lookups = new(8, 8);
    private readonly ConcurrentDictionary<string, Known> _known = new(StringComparer.Ordinal);
    private volatile Made _made = new([], AddressRules.PublicOnly);

    private AddressRules Rules
    {
        get
        {
            var allowed = configuration.Current.Requests.AllowedNetworks;
            var made = _made;
            if (!ReferenceEquals(made.Allowed, allowed)) _made = made = new Made(allowed, new AddressRules(allowed));
            return made.Rules;
        }
    }

    /// <summary>The error for the first host that is refused; null if all pass.</summary>
    public async ValueTask<GatewayError?> CheckAsync(RequestHosts hosts, CancellationToken cancellationToken)
    {
        var rules = Rules;
        List<(string Host, string Path)>? names = null;
        foreach (var (host, path) in hosts.All)
        {
            if (IPAddress.TryParse(host, out var address))
            {
                if (rules.Refuse(address) is { } what) return Refused(path, what);
            }
            else if (!rules.AllowsMore && IsInternal(host))
            {
                return Refused(path, "a name of an internal network");
            }
            else
            {
                (names ??= []).Add((host, path));
            }
        }
        return names is null ? null : await CheckNamesAsync(names, rules, cancellationToken);
    }

    public void Dispose() => _lookups.Dispose();

    private async Task<GatewayError?> CheckNamesAsync(
        List<(string Host, string Path)> names, AddressRules rules, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(MaxWait, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        var found = await Task.WhenAll(names.Select(name => FindAsync(name.Host, both.Token)));
        cancellationToken.ThrowIfCancellationRequested();
        var isLate = false;
        for (var i = 0; i < found.Length; i++)
        {
            isLate |= found[i] is null;
            foreach (var address in found[i] ?? [])
            {
                if (rules.Refuse(address) is { } what) return Refused(names[i].Path, what);
            }
        }
        return isLate ? Late : null;
    }

    // Null if the lookup did not end in time.
    private async Task<IPAddress[]?> FindAsync(string host, CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        if (_known.TryGetValue(host, out var known) && time.GetElapsedTime(known.At, now) < Lifetime) return known.Addresses;
        IPAddress[] addresses;
        try
        {
            await _lookups.WaitAsync(cancellationToken);
            try
            {
                addresses = await resolver.ResolveAsync(host, cancellationToken);
            }
            finally
            {
                _lookups.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // Not stored: a caller who disconnects must not decide what the next one gets.
            return null;
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            addresses = [];
        }
        if (_known.Count >= MaxKnown) _known.Clear();
        _known[host] = new Known(now, addresses);
        return addresses;
    }

    // RFC 6761: localhost and names below it are this host. A name without a dot is completed with the domains of the network.
    private static bool IsInternal(string host) =>
        !host.Contains('.', StringComparison.Ordinal) || host.EndsWith(".localhost", StringComparison.Ordinal)
        || host.EndsWith(".internal", StringComparison.Ordinal) || host.EndsWith(".local", StringComparison.Ordinal);

    private static GatewayError Refused(string path, string what) =>
        GatewayError.Invalid(path, $"Invalid value for '{path}': the address leads to a host that is not public ({what}).") with
        {
            OpenAiCode = "invalid_value",
            Remedy = "Send the bytes in base64, or use a public address. Operators can allow networks in requests.allowedNetworks.",
        };

    private sealed record Known(long At, IPAddress[] Addresses);

    private sealed record Made(IReadOnlyList<IPNetwork> Allowed, AddressRules Rules);
}
