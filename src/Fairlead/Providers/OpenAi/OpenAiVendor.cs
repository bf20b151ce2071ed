namespace Fairlead.Providers.OpenAi;

/// <summary>A vendor with an OpenAI-compatible interface, and how that differs from what most servers have. Immutable.</summary>
/// <param name="Hosts">Its hosts; their subdomains belong to it too.</param>
internal sealed record OpenAiVendor(params string[] Hosts) : ProviderVendor(Hosts)
{
    /// <summary>Whether its models are OpenAI's own: newest field names, and requests are held to the documented fields.</summary>
    public bool HasOpenAiModels { get; init; }

    /// <summary>Whether it has <c>/completions</c>.</summary>
    public bool HasCompletions { get; init; } = true;

    /// <summary>
    /// Whether it wants the reasoning of earlier turns back, as <c>reasoning_content</c>: models that think between calls of tools go on
    /// from it.
    /// </summary>
    public bool TakesReasoningBack { get; init; }
}
