using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// Builds the index of a block, <see cref="BlockTerms"/>. The same records make the same bytes, so an index that was changed is noticed.
/// For one thread.
/// </summary>
internal sealed class TermsBuilder
{
    public const byte Version = 1;

    private readonly TermColumn[] _columns = [.. BlockTerms.All.Select(_ => new TermColumn())];
    private readonly long[] _times = new long[BlockBuilder.MaxRecords];
    private readonly uint[] _generations = new uint[BlockBuilder.MaxRecords];
    private readonly List<(int Index, uint Hash)> _requests = [];
    private readonly List<(int Index, uint Hash)> _labels = [];
    private readonly long[] _costs = new long[BlockBuilder.MaxRecords];
    private int _count;
    private long _maxCost;

    public void Clear()
    {
        foreach (var column in _columns) column.Clear();
        _requests.Clear();
        _labels.Clear();
        _count = 0;
        _maxCost = 0;
    }

    public void Add(ShippedCall call)
    {
        var isGeneration = call.Kind == AuditRecordKind.Generation;
        _times[_count] = call.At;
        _generations[_count] = BlockTerms.HashOf(isGeneration ? call.GenerationId.Span : call.Id.Span);
        var request = BlockTerms.HashOf(call.RequestId.Span);
        if (request != _generations[_count]) _requests.Add((_count, request));
        _costs[_count] = Math.Max(0, call.CostPicoUsd);
        _maxCost = Math.Max(_maxCost, call.CostPicoUsd);
        if (call.EndUser is { } user) _labels.Add((_count, LabelHash.OfEndUser(user.Span)));
        foreach (var (key, value) in call.Metadata ?? []) _labels.Add((_count, LabelHash.OfMetadata(key.Span, value.Span)));
        Add(isGeneration ? BlockTerms.GenerationType : BlockTerms.AdministrationType, call.OrganizationId.Span, call.ProjectId.Span,
            call.KeyId.Span, Text(call.Model), Text(call.Provider), call.Outcome.Span, Text(call.ErrorCode),
            isGeneration ? call.Class.Span : default, call.Dialect.Span);
    }

    /// <summary>Adds a record that was removed: only its time is known.</summary>
    public void AddRemoved(long at)
    {
        _times[_count] = at;
        _generations[_count] = 0;
        _costs[_count] = 0;
        Add(default, default, default, default, default, default, default, default, default, default);
    }

    public byte[] ToBytes() => ToBytes(Version, _columns.Length);

    /// <summary>
    /// The index as an earlier version wrote it, so that its blocks can be verified. A later version only adds: properties after those that
    /// were there, or, with a new version number, more after the properties.
    /// </summary>
    /// <param name="version">Version of the format.</param>
    /// <param name="columns">How many properties.</param>
    public byte[] ToBytes(byte version, int columns)
    {
        var bytes = new BlockBytes();
        bytes.Byte(version);
        bytes.Number((ulong)_count);
        bytes.Int64(_maxCost);
        var before = 0L;
        for (var i = 0; i < _count; i++)
        {
            bytes.Signed(_times[i] - before);
            before = _times[i];
        }
        for (var i = 0; i < _count; i++) bytes.UInt32(_generations[i]);
        bytes.Number((ulong)_requests.Count);
        foreach (var (index, hash) in _requests)
        {
            bytes.Number((ulong)index);
            bytes.UInt32(hash);
        }
        bytes.Number((ulong)columns);
        foreach (var column in _columns.AsSpan(0, columns)) column.Write(bytes);
        WriteCosts(bytes);
        WriteLabels(bytes);
        return bytes.Written.ToArray();
    }

    // In units of what divides all of them: costs are multiples of the price of a token.
    private void WriteCosts(BlockBytes bytes)
    {
        var unit = 0L;
        foreach (var cost in _costs.AsSpan(0, _count))
        {
            for (var other = cost; other != 0;) (unit, other) = (other, unit % other);
        }
        bytes.Number((ulong)unit);
        if (unit == 0) return;
        foreach (var cost in _costs.AsSpan(0, _count)) bytes.Number((ulong)(cost / unit));
    }

    private void WriteLabels(BlockBytes bytes)
    {
        bytes.Number((ulong)_labels.Count);
        var before = 0;
        foreach (var (index, hash) in _labels)
        {
            bytes.Number((ulong)(index - before));
            bytes.UInt32(hash);
            before = index;
        }
    }

    private void Add(ReadOnlySpan<byte> type, ReadOnlySpan<byte> organization, ReadOnlySpan<byte> project, ReadOnlySpan<byte> key,
        ReadOnlySpan<byte> model, ReadOnlySpan<byte> provider, ReadOnlySpan<byte> outcome, ReadOnlySpan<byte> code,
        ReadOnlySpan<byte> callClass, ReadOnlySpan<byte> dialect)
    {
        _columns[(int)BlockTerm.Type].Add(type);
        _columns[(int)BlockTerm.Organization].Add(organization);
        _columns[(int)BlockTerm.Project].Add(project);
        _columns[(int)BlockTerm.Key].Add(key);
        _columns[(int)BlockTerm.Model].Add(model);
        _columns[(int)BlockTerm.Provider].Add(provider);
        _columns[(int)BlockTerm.Outcome].Add(outcome);
        _columns[(int)BlockTerm.Code].Add(code);
        _columns[(int)BlockTerm.Class].Add(callClass);
        _columns[(int)BlockTerm.Dialect].Add(dialect);
        _count++;
    }

    private static ReadOnlySpan<byte> Text(ReadOnlyMemory<byte>? text) => text is { } value ? value.Span : default;
}
