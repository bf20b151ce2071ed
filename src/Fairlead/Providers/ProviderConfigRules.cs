using Fairlead.Configuration;

namespace Fairlead.Providers;

/// <summary>Adds the providers of the environment, requires the kind, and removes disabled providers.</summary>
internal sealed class ProviderConfigRules(ProviderKinds kinds) : ConfigRules
{
    /// <summary>
    /// A provider of the file that has another kind or address stays unchanged: a key must not be sent to an address that its owner did not
    /// intend.
    /// </summary>
    public override void AddFromEnvironment(ConfigMap fairlead, IReadOnlyDictionary<string, string> environment)
    {
        if (fairlead.Section("providers") is not { } providers) return;
        foreach (var kind in kinds.All)
        {
            foreach (var candidate in kind.EnvironmentProviders)
            {
                if (candidate.Read(kind.Name, environment) is { } provider) Add(fairlead, providers, candidate, provider);
            }
        }
    }

    public override IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration)
    {
        // Not a required key of the table: a provider that a variable enabled has its kind already.
        foreach (var (provider, config) in configuration.Providers)
        {
            if (config.Kind.Length > 0) continue;
            yield return new($"fairlead.providers.{provider}.kind", null, "The key is required.",
                "Add 'kind', such as openai for every server with an OpenAI-compatible API.");
        }
    }

    public override GatewayConfiguration Complete(GatewayConfiguration configuration) =>
        configuration.With<IReadOnlyDictionary<string, ProviderConfig>>(
            configuration.Providers.Where(p => p.Value.Enabled).ToDictionary(StringComparer.Ordinal));

    private void Add(ConfigMap fairlead, ConfigMap providers, EnvironmentProvider candidate, ConfigMap provider)
    {
        var known = providers.Find(candidate.Name);
        if (known is null or ConfigScalar { Value: null })
        {
            // If the file uses this credential for a provider of its own, a second provider would offer the same models twice.
            if (!IsUsed(candidate.Name, provider, providers) || IsDeployed(fairlead, candidate.Name))
            {
                providers.Set(candidate.Name, provider);
            }
        }
        else if (known is ConfigMap written && Agrees(written, provider, "kind") && Agrees(written, provider, "baseUrl"))
        {
            foreach (var (key, value) in provider.Entries)
            {
                if (key == "apiKey" && written.Find("apiKeys") is not null) continue;
                written.TryAdd(key, value);
            }
        }
    }

    // Whether a provider of the file with the same API refers to a variable that enables this one.
    private bool IsUsed(string name, ConfigMap provider, ConfigMap providers)
    {
        var spoken = kinds.InterfaceOf(KindOf(provider));
        var candidates = kinds.All.SelectMany(kind => kind.EnvironmentProviders).Where(candidate => candidate.Name == name);
        string[] variables = [.. candidates.SelectMany(candidate => candidate.Variables)];
        return providers.Entries.Any(one => one.Value is ConfigMap written
            && kinds.InterfaceOf(KindOf(written)) == spoken
            && Texts(written).Any(text => variables.Any(variable => RefersTo(text, variable))));
    }

    private static bool IsDeployed(ConfigMap fairlead, string provider) =>
        fairlead.Find("models") is ConfigMap models && models.Entries.Any(model =>
            model.Value is ConfigMap settings && settings.Find("deployments") is ConfigList deployments && deployments.Items.Any(one =>
                one is ConfigMap deployment && deployment.Find("provider") is ConfigScalar { Value: { } name } && name == provider));

    private static bool Agrees(ConfigMap written, ConfigMap known, string key) =>
        written.Find(key) is null
        || (written.Find(key) is ConfigScalar { Value: { } ours } && known.Find(key) is ConfigScalar { Value: { } theirs }
            && string.Equals(ours.TrimEnd('/'), theirs, StringComparison.Ordinal));

    private static string? KindOf(ConfigMap provider) => (provider.Find("kind") as ConfigScalar)?.Value;

    private static IEnumerable<string> Texts(ConfigNode node) => node switch
    {
        ConfigScalar { Written: { } text } => [text],
        ConfigMap map => map.Entries.SelectMany(entry => Texts(entry.Value)),
        ConfigList list => list.Items.SelectMany(Texts),
        _ => [],
    };

    private static bool RefersTo(string text, string variable) =>
        text.Contains("${" + variable + "}", StringComparison.Ordinal) || text.Contains("${" + variable + ":-", StringComparison.Ordinal);
}
