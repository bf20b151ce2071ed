using System.Diagnostics.CodeAnalysis;
using Microsoft.Data.Sqlite;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Numbers of repeated names in SQLite's audit records and ledger: organizations, keys, models, outcomes. A row with numbers is a
/// third as long, and one index of numbers serves every filter. What a transaction finds or adds is cached once it is committed. For one
/// writer at a time.
/// </summary>
internal sealed class LedgerNames
{
    /// <summary>More names than a large organization has; beyond this number they are not cached.</summary>
    private const int MaxKept = 100_000;

    private readonly Dictionary<byte[], long> _kept = new(Utf8Comparer.Instance);
    private readonly Dictionary<byte[], long> _found = new(Utf8Comparer.Instance);

    /// <summary>For the transaction that the connection is in.</summary>
    public Numbers Begin(SqliteConnection connection) => new(this, connection);

    /// <summary>Keeps what the transaction found: it is committed.</summary>
    public void Committed()
    {
        if (_kept.Count + _found.Count > MaxKept) _kept.Clear();
        foreach (var (name, number) in _found) _kept[name] = number;
    }

    /// <summary>The transaction has ended, committed or not.</summary>
    public void Ended() => _found.Clear();

    /// <summary>Numbers within one transaction.</summary>
    internal sealed class Numbers(LedgerNames names, SqliteConnection connection) : IDisposable
    {
        private readonly Dictionary<byte[],
            long>.AlternateLookup<ReadOnlySpan<byte>> _kept = names._kept.GetAlternateLookup<ReadOnlySpan<byte>>();
        private readonly Dictionary<byte[],
            long>.AlternateLookup<ReadOnlySpan<byte>> _found = names._found.GetAlternateLookup<ReadOnlySpan<byte>>();
        private SqliteStatement? _find;
        private SqliteStatement? _add;

        /// <summary>The number of a name, which gets one if it has none.</summary>
        public long Of(ReadOnlyMemory<byte> name)
        {
            if (_kept.TryGetValue(name.Span, out var number) || _found.TryGetValue(name.Span, out number)) return number;
            _find ??= new SqliteStatement(connection, "SELECT number FROM audit_names WHERE name = ?");
            if (_find.Bind(name).Find() is { } known)
            {
                number = known;
            }
            else
            {
                _add ??= new SqliteStatement(connection, "INSERT INTO audit_names (name) VALUES (?)");
                _add.Bind(name).Run();
                number = _add.LastNumber;
            }
            _found[name.Span] = number;
            return number;
        }

        public void Dispose()
        {
            _find?.Dispose();
            _add?.Dispose();
        }
    }

    private sealed class Utf8Comparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly Utf8Comparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
