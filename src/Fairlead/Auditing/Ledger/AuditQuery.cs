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

    public string? GenerationId { get; init; }

    public string? RequestId { get; init; }

    public int Limit { get; init; } = DefaultLimit;

    public AuditCursor? After { get; init; }

    public static AuditQuery Read(IQueryCollection query, out QueryReader reader)
    {
        reader = new QueryReader(query, "from", "to", "organization_id", "project_id", "key_id", "model", "outcome", "generation_id",
            "request_id", "limit", "cursor");
        AuditCursor? after = null;
        if (reader.Text("cursor") is { } cursor && (after = AuditCursor.Parse(cursor)) is null)
            reader.AddError("cursor", "Must be a next_cursor of an earlier page.");
        var read = new AuditQuery
        {
            From = reader.Time("from"),
            To = reader.Time("to"),
            OrganizationId = reader.Text("organization_id"),
            ProjectId = reader.Text("project_id"),
            KeyId = reader.Text("key_id"),
            Model = reader.Text("model"),
            Outcome = reader.OneOf("outcome", Outcomes),
            GenerationId = reader.Text("generation_id"),
            RequestId = reader.Text("request_id"),
            Limit = reader.Integer("limit", 1, MaxLimit, DefaultLimit),
            After = after,
        };
        if (read.From >= read.To) reader.AddError("to", "Must be later than from.");
        return read;
    }
}

/// <summary>The last record of the page; the next page starts after it.</summary>
internal sealed record AuditCursor(long At, long Number)
{
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
