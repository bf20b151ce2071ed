namespace Fairlead.Conversation;

/// <summary>What is known of an attempt without asking its provider: a usage report that contradicts it cannot be right.</summary>
internal readonly record struct UsageKnown
{
    public UsageKnown()
    {
    }

    /// <summary>False for embeddings, whose output has no tokens.</summary>
    public bool MakesOutput { get; init; } = true;

    /// <summary>Whether the provider stated why the response ended. Until then there may be more output than it has counted.</summary>
    public bool IsFinished { get; init; } = true;

    /// <summary>Whether any output was delivered, also without text (audio, sealed reasoning).</summary>
    public bool HasOutput { get; init; }

    /// <summary>UTF-8 bytes of output that was delivered.</summary>
    public long OutputBytes { get; init; }

    /// <summary>A lower limit of the tokens of the delivered output, by its kinds of text.</summary>
    public long LeastOutput { get; init; }

    /// <summary>Whether the request has any input at all.</summary>
    public bool HasInput { get; init; } = true;

    /// <summary>UTF-8 bytes of the request's text.</summary>
    public long InputBytes { get; init; }

    /// <summary>
    /// An upper limit of the input tokens of the request itself; 0 when unknown. Providers add to it (tools, system prompts).
    /// </summary>
    public long MaxInputTokens { get; init; }

    /// <summary>Tokens of the model's context window; null when unknown.</summary>
    public long? Window { get; init; }

    /// <summary>Tokens of the model's longest output; null when unknown.</summary>
    public long? MaxOutput { get; init; }

    /// <summary>Inputs that are processed separately (texts to embed, prompts to complete), so that each may fill the window.</summary>
    public int Inputs { get; init; } = 1;

    /// <summary>Choices that are charged.</summary>
    public int Choices { get; init; } = 1;
}

/// <summary>The gateway's own counts, computed only where they are needed: counting costs more than most calls.</summary>
internal interface IUsageEstimates
{
    long InputTokens();

    long OutputTokens();
}

/// <summary>Why usage differs from what the provider reported.</summary>
internal enum UsageDoubt
{
    /// <summary>It does not differ.</summary>
    None,

    /// <summary>The provider reported nothing.</summary>
    NotReported,

    /// <summary>The response was truncated before the provider had counted to its end.</summary>
    Cut,

    /// <summary>A count is missing.</summary>
    Incomplete,

    /// <summary>A count is not a whole number of tokens.</summary>
    Unreadable,

    /// <summary>No tokens, or far too few, for the existing text.</summary>
    TooFew,

    /// <summary>More tokens than the model's window or output limit allows.</summary>
    TooMany,

    /// <summary>The counts do not add up to their total.</summary>
    Contradiction,
}

internal readonly record struct ResolvedUsage(Usage Usage, UsageDoubt Doubt);
