using System.Collections.Frozen;

namespace Fairlead.Access;

/// <summary>All secrets at one revision of the store. Immutable, read without locks.</summary>
internal sealed class CallerSnapshot
{
    private readonly FrozenDictionary<string, KnownSecret>.AlternateLookup<ReadOnlySpan<char>> _byPublicId;

    public CallerSnapshot(
        long revision, IEnumerable<KeyValuePair<string, KnownSecret>> secrets, IEnumerable<KnownProject>? projects = null)
    {
        Revision = revision;
        var byPublicId = secrets.ToFrozenDictionary(StringComparer.Ordinal);
        Count = byPublicId.Count;
        _byKey = byPublicId.Values.GroupBy(secret => secret.Caller.KeyId, StringComparer.Ordinal)
            .ToFrozenDictionary(group => group.Key, group => group.FirstOrDefault(secret => secret.Caller.SecretRetiresAt is null)
                ?? group.First(), StringComparer.Ordinal);
        _projects = (projects ?? []).ToFrozenDictionary(project => project.Id, StringComparer.Ordinal);
        _byPublicId = byPublicId.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public long Revision { get; }

    /// <summary>Tells this snapshot from others without keeping it in memory.</summary>
    public object Identity { get; } = new();

    /// <summary>The newest secret of each key, by key id.</summary>
    private readonly FrozenDictionary<string, KnownSecret> _byKey;

    private readonly FrozenDictionary<string, KnownProject> _projects;

    /// <summary>A project, for callers whose credential is not stored.</summary>
    public KnownProject? FindProject(string id) => _projects.GetValueOrDefault(id);

    /// <summary>When keys were used last, by key id.</summary>
    public IEnumerable<KeyValuePair<string, KeyUse>> Uses => _byKey.Select(one => KeyValuePair.Create(one.Key, one.Value.Use));

    /// <summary>Number of secrets.</summary>
    public int Count { get; }

    /// <summary>A secret of the key, for work that continues without a request.</summary>
    public KnownSecret? FindKey(string keyId) => _byKey.GetValueOrDefault(keyId);

    public KnownSecret? Find(ReadOnlySpan<char> publicId) => _byPublicId.TryGetValue(publicId, out var secret) ? secret : null;
}
