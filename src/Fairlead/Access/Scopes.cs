namespace Fairlead.Access;

/// <summary>Names of the scopes, one per family of endpoints.</summary>
public static class Scopes
{
    /// <summary>Chat, completions, messages and token counting.</summary>
    public const string Chat = "chat";

    /// <summary>Embeddings.</summary>
    public const string Embeddings = "embeddings";

    /// <summary>Files and batches. The lines of a batch also need the scopes of their endpoints.</summary>
    public const string Batches = "batches";

    /// <summary>The list of models and their facts.</summary>
    public const string Models = "models:read";

    /// <summary>The usage of the caller's project, and the limits of the caller.</summary>
    public const string UsageRead = "usage:read";

    /// <summary>The project's webhooks: their addresses and deliveries.</summary>
    public const string Webhooks = "webhooks";

    /// <summary>Organizations, their webhooks, projects, keys, deployments: reading.</summary>
    public const string AdminRead = "admin:read";

    /// <summary>Organizations, their webhooks, projects, keys, deployments: changing.</summary>
    public const string AdminWrite = "admin:write";

    /// <summary>All of administration, including keys that have it.</summary>
    public const string AdminAll = "admin:*";

    /// <summary>Every scope that may be granted.</summary>
    public static IReadOnlyList<string> All { get; } = [Chat, Embeddings, Batches, Models, UsageRead, Webhooks, AdminRead, AdminWrite,
        AdminAll, "*"];

    /// <summary>Those that are not about administration.</summary>
    internal static IReadOnlyList<string> OfCalls { get; } = [.. All.Where(scope => !AdminRoles.IsAdminScope(scope) && scope != "*")];

    /// <summary>The scopes of a key that names none.</summary>
    public static IReadOnlyList<string> Default { get; } = [Chat, Embeddings, Batches, Models, UsageRead];
}
