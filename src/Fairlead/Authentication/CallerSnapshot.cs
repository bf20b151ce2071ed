using System.Collections.Frozen;

namespace Fairlead.Authentication;

/// <summary>All secrets at one revision of the store. Immutable, read without locks.</summary>
internal sealed class CallerSnapshot
{
    private readonly FrozenDictionary<string, KnownSecret>.AlternateLookup<ReadOnlySpan<char>> _byPublicId;

    public CallerSnapshot(long revision, IEnumerable<KeyValuePair<string, KnownSecret>> secrets)
    {
        Revision = revision;
        var byPublicId = secrets.ToFrozenDictionary(StringComparer.Ordinal);
        Count = byPublicId.Count;
        _byPublicId = byPublicId.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public long Revision { get; }

    /// <summary>How many secrets it holds.</summary>
    public int Count { get; }

    public KnownSecret? Find(ReadOnlySpan<char> publicId) => _byPublicId.TryGetValue(publicId, out var secret) ? secret : null;
}
