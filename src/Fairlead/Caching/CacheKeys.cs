using System.Globalization;
using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Caching;

/// <summary>
/// The keys of kept responses: the project, the model, the number of deletions, and the identity of the request. A deletion changes the
/// number, so no call finds what was kept before it. Thread-safe.
/// </summary>
internal sealed class CacheKeys(RequestIdentity identity, CacheDeletions deletions)
{
    private const char Separator = ':';

    /// <summary>The key of a call; null while the deletions are not known.</summary>
    public string? Of(GatewayCall call)
    {
        if (deletions.Current is not { } known) return null;
        return string.Create(CultureInfo.InvariantCulture,
            $"{call.Caller.ProjectId}{Separator}{Escape(call.Model.Id)}{Separator}{known.CountOf(call.Caller.ProjectId, call.Model.Id)}{Separator}{identity.Of(call)}");
    }

    /// <summary>Whether a key is from after all deletions; false while they are not known.</summary>
    public bool IsCurrent(string key) => deletions.Current is { } known && !IsDeleted(key, known);

    /// <summary>Whether a key is from before a deletion.</summary>
    public static bool IsDeleted(string key, DeletionCounts known)
    {
        var parts = key.Split(Separator);
        return parts.Length != 4 || parts[2] != known.CountOf(parts[0], Uri.UnescapeDataString(parts[1])).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Whether a key is of a project.</summary>
    public static bool IsOf(string key, string projectId) =>
        key.Length > projectId.Length && key[projectId.Length] == Separator && key.StartsWith(projectId, StringComparison.Ordinal);

    /// <summary>The start of the keys of a project and a model; null for all. For patterns of Redis.</summary>
    public static string PatternOf(string? projectId, string? model) =>
        $"{projectId ?? "*"}{Separator}{(model is null ? "*" : Escape(model))}{Separator}*";

    // Without colons, and without the characters that patterns of Redis have.
    private static string Escape(string model) => Uri.EscapeDataString(model).Replace("*", "%2A", StringComparison.Ordinal);
}
