using Fairlead.Configuration;
using Fairlead.Providers.Simulated;

namespace Fairlead.Providers;

/// <summary>One provider.</summary>
internal sealed record ProviderConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    /// <param name="kinds">The values of <c>kind</c>.</param>
    internal static ConfigObjectType<ProviderConfig> KeysFor(ProviderKinds kinds) => new(
        () => new ProviderConfig { Kind = "" }, ["breaker", "concurrency"],
        new("kind", new ConfigChoice([.. kinds.All.Select(k => k.Name)]) { Extensible = true }, p => p.Kind,
            (p, v) => p with { Kind = (string)v },
            "The API that the provider uses; `openai` for every server with an OpenAI-compatible API. Leave it out only where an "
                + "environment "
            + "variable enables a provider with this name, such as `openai` by `OPENAI_API_KEY`: the kind is known then."),
        new("enabled", ConfigTypes.Switch, p => p.Enabled, (p, v) => p with { Enabled = (bool)v },
            "false disables the provider, even if an environment variable enables it."),
        new("baseUrl", new ConfigUrl(), p => p.BaseUrl, (p, v) => p with { BaseUrl = (string)v },
            "Base URL up to and including the version segment. Default: the vendor's own address."),
        new("apiKey", ConfigTypes.Secret, p => p.ApiKey, (p, v) => p with { ApiKey = (string)v }, "API key; best written as ${NAME}."),
        new("apiKeys", new ConfigListType<string>(ConfigTypes.Secret), p => p.ApiKeys,
            (p, v) => p with { ApiKeys = (IReadOnlyList<string>)v },
            "Several API keys, used in turn."),
        new("headers", new ConfigMapType<string>(ConfigTypes.Secret, "header", HeaderRules.Error), p => p.Headers,
            (p, v) => p with { Headers = (IReadOnlyDictionary<string, string>)v },
            "Headers sent with every request to the provider."),
        new("apiVersion", ConfigTypes.Text, p => p.ApiVersion, (p, v) => p with { ApiVersion = (string)v },
            "Azure only: selects a dated API version instead of v1."),
        new("reasoningField", new ConfigChoice("reasoning_content", "reasoning"), p => p.ReasoningField,
            (p, v) => p with { ReasoningField = (string)v },
            "Name of the field in which clients of `/v1/chat/completions` receive the reasoning of a translated response. "
            + "Default: `reasoning_content`. Responses of OpenAI-compatible servers are not translated: either field is read and "
            + "forwarded unchanged."),
        new("continuesTurn", ConfigTypes.Switch, p => p.ContinuesTurn, (p, v) => p with { ContinuesTurn = (bool)v },
            "Whether the server continues a turn of the assistant at the end of a conversation, instead of answering with a new one. Only "
            + "then is a lost stream continued by its text. A server of kind `openai` gets `continue_final_message: true` and "
            + "`add_generation_prompt: false` for that, as vLLM expects. Default: true for Anthropic's own API, otherwise false."),
        new("timeouts", ProviderTimeouts.Keys, p => p.Timeouts, (p, v) => p with { Timeouts = (ProviderTimeouts)v },
            "Time limits of one attempt."),
        new("simulation", SimulationConfig.Keys, p => p.Simulation, (p, v) => p with { Simulation = (SimulationConfig)v },
            "Behaviour of the simulated kind."));

    /// <summary>Its place in the configuration file.</summary>
    /// <param name="kinds">The values of <c>kind</c>.</param>
    internal static ConfigKey<GatewayConfiguration> SectionFor(ProviderKinds kinds) => GatewayConfiguration.Key(
        "providers", new ConfigMapType<ProviderConfig>(KeysFor(kinds), "provider"), c => c.Providers,
        "Model providers: vendors and servers.");

    /// <summary>Name of a registered kind.</summary>
    public required string Kind { get; init; }

    /// <summary>False disables the provider and the models that only it serves. Default true.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>Up to and including the version segment where the API has one (https://api.openai.com/v1).</summary>
    public string? BaseUrl { get; init; }

    public string? ApiKey { get; init; }

    /// <summary>Several keys, used in turn.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Headers sent with every request to the provider.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    /// <summary>Dated form of Azure's API; null for the v1 form.</summary>
    public string? ApiVersion { get; init; }

    /// <summary>
    /// Field that holds the reasoning in chat responses translated for OpenAI clients: reasoning_content (default) or reasoning.
    /// </summary>
    public string? ReasoningField { get; init; }

    /// <summary>Whether it continues a turn of the assistant at the end of a conversation; null for what its kind does.</summary>
    public bool? ContinuesTurn { get; init; }

    public ProviderTimeouts Timeouts { get; init; } = ProviderTimeouts.Default;

    /// <summary>Models that it offers as <c>provider/model</c>; only of a provider that is not in the configuration file.</summary>
    internal IReadOnlyList<string> OfferedModels { get; init; } = [];

    /// <summary>Connects to it; null for the usual way. Only of a provider that is not in the configuration file.</summary>
    internal Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? Connect { get; init; }

    /// <summary>Settings of the simulated kind.</summary>
    public SimulationConfig Simulation { get; init; } = new();

    /// <summary>Whether <see cref="Simulation"/> has any value.</summary>
    internal bool HasSimulation => Simulation != new SimulationConfig();
}

/// <summary>All of them in the whole configuration.</summary>
internal static class ProviderConfigSection
{
    private static readonly IReadOnlyDictionary<string, ProviderConfig> None = new Dictionary<string, ProviderConfig>();

    extension(GatewayConfiguration configuration)
    {
        /// <summary>Model providers by their names: vendors and servers.</summary>
        public IReadOnlyDictionary<string, ProviderConfig> Providers =>
            configuration.Section<IReadOnlyDictionary<string, ProviderConfig>>() ?? None;
    }
}
