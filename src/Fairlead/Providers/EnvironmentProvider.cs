using Fairlead.Configuration;

namespace Fairlead.Providers;

/// <summary>
/// A provider that environment variables enable without an entry in the configuration file: mostly the variables of the vendors' own
/// tools. Immutable.
/// </summary>
/// <param name="Name">Its name under <c>providers</c>.</param>
internal sealed record EnvironmentProvider(string Name)
{
    /// <summary>Variables of its API key; the first one that is set is used. Empty when it needs no key.</summary>
    public IReadOnlyList<string> KeyVariables { get; init; } = [];

    /// <summary>Variable of its address; null when the address is fixed.</summary>
    public string? AddressVariable { get; init; }

    /// <summary>The fixed address; null when the kind has a default or needs none.</summary>
    public string? BaseUrl { get; init; }

    /// <summary>Converts the value of <see cref="AddressVariable"/> to a base URL.</summary>
    public Func<string, string> ReadAddress { get; init; } = static value => value;

    /// <summary>All variables that it reads.</summary>
    public IEnumerable<string> Variables => AddressVariable is null ? KeyVariables : KeyVariables.Append(AddressVariable);

    /// <summary>The provider as in a configuration file; null when a variable is missing.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="environment">The variables of the process.</param>
    public ConfigMap? Read(string kind, IReadOnlyDictionary<string, string> environment)
    {
        var keyVariable = KeyVariables.FirstOrDefault(variable => Value(variable) is not null);
        if (KeyVariables.Count > 0 && keyVariable is null) return null;
        var address = AddressVariable is null ? null : Value(AddressVariable);
        if (AddressVariable is not null && address is null) return null;

        var origin = new ConfigOrigin(AddressVariable ?? keyVariable ?? "built in");
        var map = new ConfigMap(origin);
        map.TryAdd("kind", new ConfigScalar(kind, origin));
        if ((address is null ? BaseUrl : ReadAddress(address)) is { } baseUrl) map.TryAdd("baseUrl", new ConfigScalar(baseUrl, origin));
        if (keyVariable is not null) map.TryAdd("apiKey", new ConfigScalar(Value(keyVariable), origin));
        return map;

        string? Value(string name) =>
            environment.TryGetValue(name, out var value) && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;
    }
}
