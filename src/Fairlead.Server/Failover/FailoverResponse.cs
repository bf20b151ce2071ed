namespace Fairlead.Server.Failover;

/// <summary>What a client got.</summary>
/// <param name="Status">The HTTP status.</param>
/// <param name="Text">The text, as far as it came.</param>
/// <param name="Error">The code of the error; null for none.</param>
/// <param name="HasEnd">Whether the response says that it is complete.</param>
/// <param name="Model">The model that it names; null for none.</param>
internal sealed record FailoverResponse(int Status, string Text, string? Error, bool HasEnd, string? Model)
{
    /// <summary>Whether a stream has named the reason of a complete response; without that, its last event is not its end.</summary>
    public bool IsFinished { get; init; }

    /// <summary>Whether it is the whole right text, with its end.</summary>
    public bool IsRight => Error is null && HasEnd && Text == SimulatedText.Whole;

    /// <summary>Whether everything that came is right.</summary>
    public bool IsStartOfRight => SimulatedText.Whole.StartsWith(Text, StringComparison.Ordinal);
}
