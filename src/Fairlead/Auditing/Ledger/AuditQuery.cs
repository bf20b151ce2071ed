using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Auditing.Ledger;

/// <summary>The requested audit records; newest first.</summary>
internal sealed record AuditQuery
{
    public const int DefaultLimit = 50;

    public const int MaxLimit = 500;

    /// <summary>Before the key of a pair of metadata.</summary>
    public const string MetadataPrefix = "metadata.";

    /// <summary>The parameters that select records, besides those of metadata.</summary>
    public static readonly string[] FilterNames =
    [
        "from", "to", "organization_id", "project_id", "key_id", "model", "outcome", "type", "provider", "code", "min_cost_usd", "user",
        "generation_id", "request_id",
    ];

    private const string AllTypes = "all";
    private const int MaxMetadata = 16;

    // About what a record can hold.
    private const decimal MaxCostUsd = 9_000_000m;

    internal static readonly string[] Types = ["generation", "admin", AllTypes];

    internal static readonly string[] Outcomes = [.. Enum.GetValues<Outcome>().Select(outcome => outcome.ToWire())];

    /// <summary>Not before.</summary>
    public DateTimeOffset? From { get; init; }

    /// <summary>Before.</summary>
    public DateTimeOffset? To { get; init; }

    public string? OrganizationId { get; init; }

    public string? ProjectId { get; init; }

    public string? KeyId { get; init; }

    public string? Model { get; init; }

    public string? Outcome { get; init; }

    /// <summary>One of these outcomes; null for all.</summary>
    public IReadOnlyList<string>? AnyOutcome { get; init; }

    /// <summary>The dialect of the request.</summary>
    public string? Dialect { get; init; }

    /// <summary>The calls (<c>generation</c>), the actions of administrators (<c>admin</c>), or null for all. Default: the calls.</summary>
    public string? Type { get; init; } = "generation";

    /// <summary>The provider of the response, or of the last attempt.</summary>
    public string? Provider { get; init; }

    /// <summary>The code of the error that ended it.</summary>
    public string? Code { get; init; }

    public string? GenerationId { get; init; }

    /// <summary>One of these generations, whose records may be at any time; null for all.</summary>
    public IReadOnlyList<string>? AnyGeneration { get; init; }

    public string? RequestId { get; init; }

    /// <summary>The least cost in US dollars.</summary>
    public decimal? MinCostUsd { get; init; }

    /// <summary>Who caused the call, as its client names them.</summary>
    public string? EndUser { get; init; }

    /// <summary>Pairs that the metadata of the request has.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metadata { get; init; } = [];

    public int Limit { get; init; } = DefaultLimit;

    public AuditCursor? After { get; init; }

    /// <summary>Blocks that one page looks at, from 1.</summary>
    public int MaxBlocks { get; init; } = AuditReader.MaxBlocks;

    /// <summary>The filters and the page of a list.</summary>
    public static AuditQuery Read(IQueryCollection query, out QueryReader reader)
    {
        reader = new QueryReader(query, [.. FilterNames, "limit", "cursor", Content.ContentView.Parameter], MetadataPrefix);
        AuditCursor? after = null;
        if (reader.Text("cursor") is { } cursor && (after = AuditCursor.Parse(cursor)) is null)
            reader.AddError("cursor", "Must be a next_cursor of an earlier page.");
        return ReadFilters(reader) with { Limit = reader.Integer("limit", 1, MaxLimit, DefaultLimit), After = after };
    }

    /// <summary>The filters alone, from a reader that knows <see cref="FilterNames"/> and <see cref="MetadataPrefix"/>.</summary>
    public static AuditQuery ReadFilters(QueryReader reader)
    {
        var read = new AuditQuery
        {
            From = reader.Time("from"),
            To = reader.Time("to"),
            OrganizationId = reader.Text("organization_id"),
            ProjectId = reader.Text("project_id"),
            KeyId = reader.Text("key_id"),
            Model = reader.Text("model"),
            Outcome = reader.OneOf("outcome", Outcomes),
            Type = (reader.OneOf("type", Types) ?? Types[0]) is var type && type == AllTypes ? null : type,
            Provider = reader.Text("provider"),
            Code = reader.Text("code"),
            MinCostUsd = reader.Amount("min_cost_usd", MaxCostUsd),
            EndUser = reader.Text("user"),
            Metadata = [.. reader.Prefixed(MetadataPrefix, MaxMetadata, 64, 512)],
            GenerationId = reader.Text("generation_id"),
            RequestId = reader.Text("request_id"),
        };
        if (read.From >= read.To) reader.AddError("to", "Must be later than from.");
        return read;
    }
}

/// <summary>The last record of the page; the next page starts after it.</summary>
/// <param name="At">Its time in milliseconds since 1970.</param>
/// <param name="Number">Orders the records of one millisecond: the number of the block and the place in it.</param>
internal sealed record AuditCursor(long At, long Number) : IComparable<AuditCursor>
{
    private const int PlaceBits = 10;

    public static AuditCursor Of(long at, long block, int place) => new(at, (block << PlaceBits) | (long)place);

    /// <summary>Before all records of this time and later ones, in the order newest first.</summary>
    public static AuditCursor Before(long at) => new(at, long.MaxValue);

    public int CompareTo(AuditCursor? other) => other is null ? 1 : (At, Number).CompareTo((other.At, other.Number));

    public static bool operator <(AuditCursor left, AuditCursor right) => left.CompareTo(right) < 0;

    public static bool operator >(AuditCursor left, AuditCursor right) => left.CompareTo(right) > 0;

    public static bool operator <=(AuditCursor left, AuditCursor right) => left.CompareTo(right) <= 0;

    public static bool operator >=(AuditCursor left, AuditCursor right) => left.CompareTo(right) >= 0;

    public override string ToString() =>
        Base64Url.EncodeToString(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{At}.{Number}")));

    public static AuditCursor? Parse(string text)
    {
        if (text.Length > 64 || !Base64Url.IsValid(text)) return null;
        var parts = Encoding.ASCII.GetString(Base64Url.DecodeFromChars(text)).Split('.');
        return parts.Length == 2
            && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var at)
            && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? new AuditCursor(at, number)
                : null;
    }
}
