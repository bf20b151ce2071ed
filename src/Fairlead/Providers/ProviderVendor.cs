namespace Fairlead.Providers;

/// <summary>A vendor whose servers are known by their host, whatever API is used. Immutable.</summary>
/// <param name="Hosts">Its hosts; their subdomains belong to it too.</param>
internal record ProviderVendor(params string[] Hosts)
{
    /// <summary>Value of <c>gen_ai.provider.name</c>; null when the kind decides.</summary>
    public string? TelemetryName { get; init; }

    /// <summary>Owner of the built-in models that its servers offer; null for none.</summary>
    public string? ModelOwner { get; init; }

    /// <summary>Names of providers that mean this vendor when the address is not known, for example a proxy. Case is ignored.</summary>
    public IReadOnlyList<string> ProviderNames { get; init; } = [];

    public bool Owns(string host)
    {
        foreach (var own in Hosts)
        {
            if (host.Equals(own, StringComparison.OrdinalIgnoreCase) || host.EndsWith("." + own, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }
        return false;
    }
}
