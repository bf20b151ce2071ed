namespace Fairlead.Conversation;

/// <summary>Texts to turn into vectors. Exactly one of a text and tokens is set per item.</summary>
internal sealed record EmbeddingsRequest(IReadOnlyList<EmbeddingInput> Inputs)
{
    /// <summary>Wanted length of the vectors, or null for the model's own.</summary>
    public int? Dimensions { get; init; }

    public string? EndUser { get; init; }
}

internal sealed record EmbeddingInput(string? Text, IReadOnlyList<int>? Tokens);

/// <summary>Vectors in the order of the inputs.</summary>
internal sealed record EmbeddingsResponse(IReadOnlyList<ReadOnlyMemory<float>> Vectors);
