namespace Fairlead.Providers.OpenAi;

/// <summary>A vendor with an OpenAI-compatible API, and how it differs from most servers. Immutable.</summary>
/// <param name="Hosts">Its hosts; their subdomains belong to it too.</param>
internal sealed record OpenAiVendor(params string[] Hosts) : ProviderVendor(Hosts)
{
    /// <summary>Whether its models are OpenAI's own: newest field names, and only documented fields are accepted.</summary>
    public bool HasOpenAiModels { get; init; }

    /// <summary>Whether it has <c>/completions</c>.</summary>
    public bool HasCompletions { get; init; } = true;

    /// <summary>
    /// Whether it needs the reasoning of earlier turns, as <c>reasoning_content</c>: models that think between tool calls continue
    /// from it.
    /// </summary>
    public bool TakesReasoningBack { get; init; }
}
