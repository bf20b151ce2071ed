using System.Collections.Concurrent;
using System.Collections.Frozen;

namespace Fairlead.Access;

/// <summary>Callers that the embedding app authenticates, kept by id for work that continues after their request. Thread-safe.</summary>
internal sealed class ApplicationCallers(IContentRecordings? recordings = null)
{
    /// <summary>The start of the ids of their projects, which are not in the store.</summary>
    public const string ProjectPrefix = "proj_app_";

    /// <summary>The start of the ids of their keys, which are not in the store.</summary>
    public const string KeyPrefix = "key_app_";
    private const int MaxKept = 10_000;

    private readonly ConcurrentDictionary<string, (ApplicationCaller Source, Caller Caller)> _callers = new(StringComparer.Ordinal);

    /// <exception cref="ArgumentException">The id or the project is empty, or too long.</exception>
    public Caller Of(ApplicationCaller caller)
    {
        var keyId = KeyPrefix + caller.Id;
        if (_callers.TryGetValue(keyId, out var known) && IsSame(known.Source, caller) && IsCurrent(known.Caller)) return known.Caller;
        if (caller.Id.Length is 0 or > ApplicationCaller.MaxId || caller.Project is { Length: 0 or > ApplicationCaller.MaxId })
        {
            throw new ArgumentException(
                $"The id and the project of an application caller must have 1 to {ApplicationCaller.MaxId} characters.", nameof(caller));
        }
        var created = Create(caller, keyId);
        // Missing callers are created again, so clearing the list now and then costs little.
        if (_callers.Count >= MaxKept) _callers.Clear();
        _callers[keyId] = (caller, created);
        return created;
    }

    /// <summary>
    /// The caller of a job or batch that was accepted earlier, also before a restart; null when the key does not belong to an application
    /// caller.
    /// </summary>
    public Caller? Find(string keyId, string projectId)
    {
        if (!keyId.StartsWith(KeyPrefix, StringComparison.Ordinal)) return null;
        if (_callers.TryGetValue(keyId, out var known) && known.Caller.ProjectId == projectId && IsCurrent(known.Caller)) return known.Caller;
        // Its permissions were checked when the work was accepted.
        return Create(new ApplicationCaller(keyId[KeyPrefix.Length..]) { Project = projectId[ProjectPrefix.Length..] }, keyId);
    }

    private Caller Create(ApplicationCaller caller, string keyId) => new()
    {
        OrganizationId = "org_app",
        OrganizationName = "app",
        ProjectId = ProjectPrefix + (caller.Project ?? caller.Id),
        ProjectName = caller.Project ?? caller.Name ?? caller.Id,
        KeyId = keyId,
        KeyName = caller.Name ?? caller.Id,
        Scopes = caller.Scopes.ToFrozenSet(StringComparer.Ordinal),
        // An app gives rights of administration by scopes.
        Admin = AdminRoles.OfScopes(caller.Scopes) is { } role ? new AdminGrant(role) : null,
        Models = caller.Models?.ToFrozenSet(StringComparer.Ordinal),
        Recording = recordings?.Of(null),
    };

    private bool IsCurrent(Caller caller) => caller.Recording == recordings?.Of(null);

    private static bool IsSame(ApplicationCaller left, ApplicationCaller right) =>
        left.Name == right.Name && left.Project == right.Project && IsSame(left.Scopes, right.Scopes) && IsSame(left.Models, right.Models);

    private static bool IsSame(IReadOnlyCollection<string>? left, IReadOnlyCollection<string>? right) =>
        ReferenceEquals(left, right) || (left is not null && right is not null && left.SequenceEqual(right, StringComparer.Ordinal));
}
