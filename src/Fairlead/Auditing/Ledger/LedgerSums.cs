using System.Text;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Ledger;

/// <summary>The sums of a batch: by hour, and by day for the reconciliation. For one thread.</summary>
/// <param name="storable">Makes a text storable in the database.</param>
internal sealed class LedgerSums(Func<string, string> storable)
{
    private readonly Dictionary<HourKey, HourSums> _hours = [];
    private ShippedCall? _last;
    private HourSums? _lastSums;

    public IReadOnlyCollection<HourSums> Hours => _hours.Values;

    public ReconciliationDays Days { get; } = new();

    /// <summary>The hours in the order of the table's key, in which every node locks its rows.</summary>
    public IEnumerable<HourSums> HoursInOrder => _hours.Values.OrderBy(row => row.Key.ProjectId, StringComparer.Ordinal)
        .ThenBy(row => row.Key.KeyId, StringComparer.Ordinal).ThenBy(row => row.Key.Hour)
        .ThenBy(row => row.Key.Model, StringComparer.Ordinal).ThenBy(row => row.Key.Outcome, StringComparer.Ordinal)
        .ThenBy(row => row.Key.Class, StringComparer.Ordinal);

    public void Add(ShippedCall call)
    {
        if (call.Kind != AuditRecordKind.Generation || (!call.Counts && call.Attempts.Count == 0)) return;
        var sums = SumsOf(call);
        if (call.Counts) sums.Requests++;
        foreach (var attempt in call.Attempts)
        {
            sums.Add(call, attempt);
            Days.Add(call, attempt, storable);
        }
    }

    private HourSums SumsOf(ShippedCall call)
    {
        var hour = HourSums.HourOf(call.At);
        // Neighbours mostly have the same caller and model.
        if (_last is { } last && _lastSums!.Key.Hour == hour && Same(last.KeyId, call.KeyId) && Same(last.ProjectId, call.ProjectId)
            && Same(last.Model ?? default, call.Model ?? default) && Same(last.Outcome, call.Outcome) && Same(last.Class, call.Class))
        {
            return _lastSums;
        }
        var key = new HourKey(
            Text(call.ProjectId), Text(call.KeyId), hour, call.Model is { } model ? Text(model) : "", Text(call.Outcome), Text(call.Class));
        if (!_hours.TryGetValue(key, out var sums)) _hours[key] = sums = new HourSums(key, Text(call.OrganizationId));
        (_last, _lastSums) = (call, sums);
        return sums;
    }

    private static bool Same(ReadOnlyMemory<byte> left, ReadOnlyMemory<byte> right) => left.Span.SequenceEqual(right.Span);

    private string Text(ReadOnlyMemory<byte> utf8) => storable(Encoding.UTF8.GetString(utf8.Span));
}
