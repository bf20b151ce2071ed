namespace Fairlead.Access;

/// <summary>A caller that the embedding app authenticates itself, for <see cref="FairleadBuilder.UseApplicationCallers"/>.</summary>
/// <param name="Id">A stable id of 1 to 64 characters. It appears in audit records, so an opaque id is better than a name.</param>
public sealed record ApplicationCaller(string Id)
{
    internal const int MaxId = 64;

    /// <summary>Name for audit records and usage; the id when null.</summary>
    public string? Name { get; init; }

    /// <summary>Callers of one project share generations, files, batches and webhooks. If null, each caller has its own project.</summary>
    public string? Project { get; init; }

    /// <summary>What it may do; see <see cref="Access.Scopes"/>.</summary>
    public IReadOnlyCollection<string> Scopes { get; init; } = Access.Scopes.Default;

    /// <summary>Models it may use, by the names that clients send; null for all.</summary>
    public IReadOnlyCollection<string>? Models { get; init; }
}
