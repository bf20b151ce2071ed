namespace Fairlead.Catalogue.Stored;

/// <summary>A provider beside the configuration. Immutable.</summary>
internal sealed record StoredProviderRow
{
    public required string Name { get; init; }

    public required string Kind { get; init; }

    public string? BaseUrl { get; init; }

    /// <summary>Models that it offers as <c>provider/model</c>, beside the built-in ones of its vendor.</summary>
    public string[] Models { get; init; } = [];

    public bool Enabled { get; init; } = true;

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

/// <summary>One of its keys. Immutable.</summary>
internal sealed record StoredProviderKeyRow
{
    public required string Id { get; init; }

    public required string Provider { get; init; }

    public required string Name { get; init; }

    /// <summary>Encrypted by <see cref="SecretBox"/>.</summary>
    public required byte[] Secret { get; init; }

    public bool Enabled { get; init; } = true;

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }

    // A record prints its members.
    public override string ToString() => Id;
}
