using System.Text;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Blocks;

/// <summary>What a query asks of a record, by the index of its block and, where that is not certain, by the record. Immutable.</summary>
internal sealed class BlockFilter
{
    private readonly List<(BlockTerm Term, byte[] Value)> _terms = [];
    private readonly byte[][]? _outcomes;
    private readonly byte[]? _dialect;
    private readonly byte[]? _generation;
    private readonly byte[][]? _anyGeneration;
    private readonly uint[] _anyHash = [];
    private readonly byte[]? _request;
    private readonly byte[]? _user;
    private readonly (byte[] Key, byte[] Value)[] _metadata;
    private readonly uint[] _labels;
    private readonly long _minCost;
    private readonly AuditQuery _query;
    private readonly long _from;
    private readonly long _to;

    public BlockFilter(AuditQuery query)
    {
        _query = query;
        _from = query.From is { } from ? CeilingMilliseconds(from) : long.MinValue;
        _to = query.To is { } to ? CeilingMilliseconds(to) : long.MaxValue;
        Add(BlockTerm.Type, query.Type);
        Add(BlockTerm.Organization, query.OrganizationId);
        Add(BlockTerm.Project, query.ProjectId);
        Add(BlockTerm.Key, query.KeyId);
        Add(BlockTerm.Model, query.Model);
        Add(BlockTerm.Provider, query.Provider);
        Add(BlockTerm.Outcome, query.Outcome);
        Add(BlockTerm.Code, query.Code);
        _outcomes = query.AnyOutcome is { } outcomes ? [.. outcomes.Select(Encoding.UTF8.GetBytes)] : null;
        _dialect = query.Dialect is { } dialect ? Encoding.UTF8.GetBytes(dialect) : null;
        _generation = query.GenerationId is { } generation ? Encoding.UTF8.GetBytes(generation) : null;
        if (query.AnyGeneration is { } any)
        {
            _anyGeneration = [.. any.Select(Encoding.UTF8.GetBytes)];
            _anyHash = [.. _anyGeneration.Select(id => BlockTerms.HashOf(id))];
        }
        _request = query.RequestId is { } request ? Encoding.UTF8.GetBytes(request) : null;
        _minCost = query.MinCostUsd is { } cost ? Money.ToPico(cost) : 0;
        _user = query.EndUser is { } user ? Encoding.UTF8.GetBytes(user) : null;
        _metadata = [.. query.Metadata.Select(pair => (Encoding.UTF8.GetBytes(pair.Key), Encoding.UTF8.GetBytes(pair.Value)))];
        _labels = [.. _metadata.Select(pair => LabelHash.OfMetadata(pair.Key, pair.Value))];
        if (_user is not null) _labels = [.. _labels, LabelHash.OfEndUser(_user)];
    }

    /// <summary>First time of a record, in milliseconds since 1970.</summary>
    public long From => _from;

    /// <summary>First time after it.</summary>
    public long To => _to;

    /// <summary>When the id that is searched for was made, in milliseconds since 1970; null if it does not say.</summary>
    public long? MadeAt => UlidTimeOf(_generation ?? _request);

    /// <summary>Whether the index is not certain, so that <see cref="Accepts"/> decides.</summary>
    public bool NeedsRecord(BlockTerms terms) =>
        IsById || _anyGeneration is not null || _labels.Length > 0 || (_dialect is not null && !HasDialects(terms));

    /// <summary>Whether at most a few records match, made at the time that their id says.</summary>
    public bool IsById => _generation is not null || _request is not null;

    /// <summary>The places of the records that match by the index.</summary>
    public List<int> Match(BlockTerms terms, long block)
    {
        Span<bool> matches = stackalloc bool[terms.Count];
        matches.Fill(true);
        foreach (var (term, value) in _terms) terms.Require(term, value, matches);
        if (_outcomes is not null) terms.RequireAny(BlockTerm.Outcome, _outcomes, matches);
        if (_dialect is not null && HasDialects(terms)) terms.Require(BlockTerm.Dialect, _dialect, matches);
        if (_generation is not null) terms.RequireGeneration(BlockTerms.HashOf(_generation), matches);
        if (_anyGeneration is not null) terms.RequireAnyGeneration(_anyHash, matches);
        if (_request is not null) terms.RequireRequest(BlockTerms.HashOf(_request), matches);
        terms.RequireCost(_minCost, matches);
        if (_labels.Length > 0) terms.RequireLabels(_labels, matches);
        var places = new List<int>();
        for (var i = 0; i < matches.Length; i++)
        {
            if (!matches[i] || terms.IsRemoved(i)) continue;
            var at = terms.TimeOf(i);
            if (at < _from || at >= _to) continue;
            if (_query.After is { } after && AuditCursor.Of(at, block, i) >= after) continue;
            places.Add(i);
        }
        return places;
    }

    /// <summary>Whether the record matches what the index knows only by hashes.</summary>
    public bool Accepts(ShippedCall record) =>
        (_generation is null || record.GenerationId.Span.SequenceEqual(_generation))
        && (_anyGeneration is null || Array.Exists(_anyGeneration, id => record.GenerationId.Span.SequenceEqual(id)))
        && (_dialect is null || record.Dialect.Span.SequenceEqual(_dialect))
        && (_request is null || record.RequestId.Span.SequenceEqual(_request))
        && (_user is null || (record.EndUser is { } user && user.Span.SequenceEqual(_user)))
        && Array.TrueForAll(_metadata, pair => record.Metadata?.Exists(
            known => known.Key.Span.SequenceEqual(pair.Key) && known.Value.Span.SequenceEqual(pair.Value)) == true);

    // The index of an earlier version has none.
    private static bool HasDialects(BlockTerms terms) => terms.Columns > (int)BlockTerm.Dialect;

    // The first ten characters of a ULID are its time: 32 letters and digits without I, L, O and U.
    private static long? UlidTimeOf(byte[]? id)
    {
        if (id is null) return null;
        var prefix = Array.IndexOf(id, (byte)'_');
        if (id.Length - prefix - 1 < 26) return null;
        var time = 0L;
        foreach (var letter in id.AsSpan(prefix + 1, 10))
        {
            var value = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"u8.IndexOf(letter);
            if (value < 0) return null;
            time = (time << 5) | (long)value;
        }
        return time;
    }

    private void Add(BlockTerm term, string? value)
    {
        if (value is not null) _terms.Add((term, Encoding.UTF8.GetBytes(value)));
    }

    private static long CeilingMilliseconds(DateTimeOffset time) =>
        time.ToUnixTimeMilliseconds() + (time.Ticks % TimeSpan.TicksPerMillisecond == 0 ? 0 : 1);
}
