namespace Fairlead.Configuration;

/// <summary>
/// All keys of the configuration: what the slices declare, joined. The reader, the schema for editors and the table in the
/// documentation are generated from it, so they cannot differ. Immutable; thread-safe.
/// </summary>
internal sealed class ConfigKeys
{
    /// <param name="keys">The keys below <c>fairlead:</c>, in the order of the documentation.</param>
    /// <param name="later">Names of sections that later versions have.</param>
    /// <param name="rules">In the order in which they run.</param>
    public ConfigKeys(ConfigKey<GatewayConfiguration>[] keys, string[] later, IReadOnlyList<ConfigRules> rules)
    {
        Fairlead = new(() => new GatewayConfiguration(), later, keys);
        Root = new(() => new GatewayConfiguration(), [],
            new("fairlead", Fairlead, _ => null, (_, v) => (GatewayConfiguration)v, "Settings of Fairlead."),
            new("$schema", ConfigTypes.Text, _ => null, (c, _) => c, "Address of this schema, for editors."));
        Rules = rules;
    }

    /// <summary>Everything below <c>fairlead:</c>.</summary>
    public ConfigObjectType<GatewayConfiguration> Fairlead { get; }

    /// <summary>The whole file.</summary>
    public ConfigObjectType<GatewayConfiguration> Root { get; }

    /// <summary>What the slices do beyond reading keys one by one, in the order in which it is done.</summary>
    public IReadOnlyList<ConfigRules> Rules { get; }
}
