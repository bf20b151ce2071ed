using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Auditing.Ledger;

/// <summary>The requested part of the reconciliation; oldest day first.</summary>
internal sealed record ReconciliationQuery
{
    public const int DefaultLimit = 100;

    public const int MaxLimit = 1000;

    private const int MaxCursorLength = 4096;

    private static readonly TimeSpan Default = TimeSpan.FromDays(30);

    private static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    /// <summary>A midnight in UTC; not before.</summary>
    public required DateTimeOffset From { get; init; }

    /// <summary>A midnight in UTC; before.</summary>
    public required DateTimeOffset To { get; init; }

    public string? Provider { get; init; }

    /// <summary>The model's name at the provider.</summary>
    public string? Model { get; init; }

    public int Limit { get; init; } = DefaultLimit;

    public ReconciliationCursor? After { get; init; }

    public static ReconciliationQuery Read(IQueryCollection query, TimeProvider time, out QueryReader reader)
    {
        reader = new QueryReader(query, "from", "to", "provider", "model", "limit", "cursor");
        ReconciliationCursor? after = null;
        if (reader.Text("cursor", MaxCursorLength) is { } cursor && (after = ReconciliationCursor.Parse(cursor)) is null)
            reader.AddError("cursor", "Must be a next_cursor of an earlier page.");
        // Without an end, all of today.
        var to = reader.Time("to") is { } end
            ? Midnight(end + TimeSpan.FromDays(1) - TimeSpan.FromTicks(1))
            : Midnight(time.GetUtcNow() + TimeSpan.FromDays(1));
        var from = Midnight(reader.Time("from") ?? to - Default);
        if (from >= to) reader.AddError("to", "Must be later than from.");
        else if (to - from > Longest) reader.AddError("from", "From and to must be at most 366 days apart.");
        return new ReconciliationQuery
        {
            From = from,
            To = to,
            Provider = reader.Text("provider"),
            Model = reader.Text("model"),
            Limit = reader.Integer("limit", 1, MaxLimit, DefaultLimit),
            After = after,
        };
    }

    private static DateTimeOffset Midnight(DateTimeOffset time) => new(time.UtcDateTime.Date, TimeSpan.Zero);
}

/// <summary>The last line of a page; the next page starts after it.</summary>
/// <param name="Day">In milliseconds since 1970.</param>
/// <param name="Provider">Name of the provider.</param>
/// <param name="Model">The model's name at the provider.</param>
internal sealed record ReconciliationCursor(long Day, string Provider, string Model)
{
    public override string ToString() =>
        Base64Url.EncodeToString(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Day}\n{Provider}\n{Model}")));

    public static ReconciliationCursor? Parse(string text)
    {
        if (!Base64Url.IsValid(text)) return null;
        var parts = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(text)).Split('\n', 3);
        return parts.Length == 3 && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var day)
            // PostgreSQL rejects a text with NUL.
            && !parts[1].Contains('\0', StringComparison.Ordinal)
            && !parts[2].Contains('\0', StringComparison.Ordinal)
            ? new ReconciliationCursor(day, parts[1], parts[2]) : null;
    }
}
