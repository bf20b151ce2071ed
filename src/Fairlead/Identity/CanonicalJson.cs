using System.Buffers;
using System.Collections.Frozen;
using System.Text.Json;

namespace Fairlead.Identity;

/// <summary>
/// Adds JSON to a hash so that the order of the members of objects, white space and escapes make no difference. Everything else does: a
/// number is compared as written, and a member with null differs from a missing one.
/// </summary>
/// <remarks>
/// One pass. Each member of an object is hashed alone, and the hashes are sorted by the member's name. At most
/// <see cref="MaxSorted"/> members are sorted together and longer escaped texts are taken as written, so memory is limited by the depth and
/// not by the length of the JSON. Beyond those limits equal requests may get different identities, but different requests never get the
/// same one. One owner, who disposes it.
/// </remarks>
internal sealed class CanonicalJson : IDisposable
{
    /// <summary>Members of an object that are sorted together.</summary>
    internal const int MaxSorted = 256;

    /// <summary>Bytes of an escaped text that are decoded.</summary>
    internal const int MaxDecoded = 1024 * 1024;

    // More than any request may have.
    private const int MaxDepth = 1024;

    private static readonly Comparison<Member> Order = static (a, b) =>
        a.Name != b.Name ? a.Name.CompareTo(b.Name) : a.Position.CompareTo(b.Position);

    private readonly List<Level> _levels = [];

    /// <summary>Adds one JSON value.</summary>
    /// <param name="hash">Receives it.</param>
    /// <param name="json">Valid JSON.</param>
    /// <param name="omitted">Members of the outermost object that are left out; null for none.</param>
    /// <param name="alsoOmitted">One more of them; null for none.</param>
    /// <exception cref="JsonException">It is not valid.</exception>
    public void Add(IdentityHash hash, ReadOnlySpan<byte> json, FrozenSet<string>? omitted = null, string? alsoOmitted = null)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read();
        AddValue(ref reader, hash, 0, omitted, alsoOmitted);
    }

    public void Dispose()
    {
        foreach (var level in _levels) level.Hash.Dispose();
    }

    private void AddValue(ref Utf8JsonReader reader, IdentityHash hash, int depth, FrozenSet<string>? omitted, string? alsoOmitted)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                AddObject(ref reader, hash, depth, omitted, alsoOmitted);
                break;
            case JsonTokenType.StartArray:
                hash.Tag((byte)'[');
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) AddValue(ref reader, hash, depth, null, null);
                hash.Tag((byte)']');
                break;
            case JsonTokenType.String:
                AddText(ref reader, hash);
                break;
            case JsonTokenType.Number:
                hash.Tag((byte)'#');
                hash.Add(reader.ValueSpan);
                break;
            case JsonTokenType.True or JsonTokenType.False:
                hash.Add(reader.TokenType == JsonTokenType.True);
                break;
            default:
                hash.Add((string?)null);
                break;
        }
    }

    private void AddObject(ref Utf8JsonReader reader, IdentityHash hash, int depth, FrozenSet<string>? omitted, string? alsoOmitted)
    {
        if (_levels.Count == depth) _levels.Add(new Level());
        var level = _levels[depth];
        var members = level.Members;
        members.Clear();
        hash.Tag((byte)'{');
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if ((omitted is not null || alsoOmitted is not null) && IsOmitted(reader, omitted, alsoOmitted))
            {
                reader.Read();
                reader.Skip();
                continue;
            }
            var name = AddText(ref reader, level.Hash);
            reader.Read();
            AddValue(ref reader, level.Hash, depth + 1, null, null);
            members.Add(new Member(name, members.Count, level.Hash.Finish()));
            if (members.Count == MaxSorted) AddSorted(members, hash);
        }
        AddSorted(members, hash);
        hash.Tag((byte)'}');
    }

    private static void AddSorted(List<Member> members, IdentityHash hash)
    {
        // Members of the same name keep their order, because the last one counts.
        members.Sort(Order);
        hash.Length(members.Count);
        foreach (var member in members) hash.Add(member.Value);
        members.Clear();
    }

    // Names that are omitted are short and plain.
    private static bool IsOmitted(in Utf8JsonReader reader, FrozenSet<string>? omitted, string? alsoOmitted)
    {
        if (reader.ValueSpan.Length > 64) return false;
        var name = reader.GetString()!;
        return name == alsoOmitted || omitted?.Contains(name) == true;
    }

    /// <summary>Adds a text or a name, and returns a short hash of it.</summary>
    private static ulong AddText(ref Utf8JsonReader reader, IdentityHash hash)
    {
        if (!reader.ValueIsEscaped)
        {
            hash.Add(reader.ValueSpan);
            return ShortHash(reader.ValueSpan);
        }
        if (reader.ValueSpan.Length > MaxDecoded)
        {
            hash.Tag((byte)'e');
            hash.Add(reader.ValueSpan);
            return ShortHash(reader.ValueSpan);
        }
        var decoded = ArrayPool<byte>.Shared.Rent(reader.ValueSpan.Length);
        try
        {
            var text = decoded.AsSpan(0, reader.CopyString(decoded));
            hash.Add(text);
            return ShortHash(text);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(decoded);
        }
    }

    // FNV-1a. Only an order that does not depend on the request; names with the same value keep the order in which they were written.
    private static ulong ShortHash(ReadOnlySpan<byte> text)
    {
        var hash = 14695981039346656037;
        foreach (var b in text[..Math.Min(text.Length, 64)]) hash = (hash ^ b) * 1099511628211;
        return hash;
    }

    private sealed class Level
    {
        public IdentityHash Hash { get; } = new();

        public List<Member> Members { get; } = [];
    }

    private readonly record struct Member(ulong Name, int Position, IdentityKey Value);
}
