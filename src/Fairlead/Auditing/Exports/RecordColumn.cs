using System.Globalization;
using System.Text.Json;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Exports;

internal enum ColumnKind
{
    Text,
    Integer,

    /// <summary>An amount of US dollars.</summary>
    Money,

    /// <summary>A number that is measured.</summary>
    Number,
    Time,
}

/// <summary>One column of the formats with columns: a member of the record, or of an object in it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Kind">Its type.</param>
/// <param name="Path">The member, and one in it, or null.</param>
internal sealed record RecordColumn(string Name, ColumnKind Kind, string Path, string? Inner = null)
{
    /// <summary>The columns of all records: a record of the other kind has no value in some.</summary>
    public static readonly RecordColumn[] All =
    [
        Of("id"), Of("node"), new("sequence", ColumnKind.Integer, "sequence"), new("at", ColumnKind.Time, "at"), Of("type"), Of("request_id"),
        Of("generation_id"), Of("organization_id"), Of("project_id"), Of("key_id"), Of("address"), Of("endpoint"), Of("dialect"),
        Of("model_requested"), Of("model"), Of("provider"), new("class", ColumnKind.Text, "parameters", "class"), Of("outcome"),
        Of("error_code"), new("status", ColumnKind.Integer, "status"), Of("user"), Of("metadata"),
        Tokens("input_tokens"), Tokens("cached_input_tokens"), Tokens("cache_write_tokens"), Tokens("output_tokens"),
        Tokens("reasoning_tokens"), new("usage_basis", ColumnKind.Text, "usage", "basis"), new("cost_usd", ColumnKind.Money, "cost_usd"),
        new("total_ms", ColumnKind.Number, "timing_ms", "total"), Of("parameters"), Of("attempts"), Of("action"),
        new("actor_kind", ColumnKind.Text, "actor", "kind"), new("actor_name", ColumnKind.Text, "actor", "name"),
        new("resource_type", ColumnKind.Text, "resource", "type"), new("resource_id", ColumnKind.Text, "resource", "id"), Of("before"),
        Of("after"), Of("content"), Of("previous_hash"), Of("hash"),
    ];

    /// <summary>The value of a text column: a string as it is, anything else as JSON; null for none.</summary>
    public string? TextOf(JsonElement root, StoredRecord record) => Path switch
    {
        "node" => record.Node,
        "type" => record.Kind == AuditRecordKind.Generation ? "generation" : "admin",
        "previous_hash" => Convert.ToHexStringLower(record.PreviousHash),
        "hash" => Convert.ToHexStringLower(record.Hash),
        _ => Find(root) switch
        {
            null => null,
            { ValueKind: JsonValueKind.String } text => text.GetString(),
            { } value => value.GetRawText(),
        },
    };

    public long? IntegerOf(JsonElement root, StoredRecord record) =>
        Path == "sequence" ? record.Sequence : Find(root) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt64(out var value)
            ? value : null;

    public decimal? MoneyOf(JsonElement root) =>
        Find(root) is { ValueKind: JsonValueKind.Number } number && number.TryGetDecimal(out var value) ? value : null;

    public double? NumberOf(JsonElement root) =>
        Find(root) is { ValueKind: JsonValueKind.Number } number && number.TryGetDouble(out var value) ? value : null;

    public DateTime? TimeOf(JsonElement root) =>
        Find(root) is { ValueKind: JsonValueKind.String } text && DateTimeOffset.TryParse(
            text.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time.UtcDateTime : null;

    private JsonElement? Find(JsonElement root)
    {
        if (!root.TryGetProperty(Path, out var value)) return null;
        if (Inner is not null && (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty(Inner, out value))) return null;
        return value.ValueKind == JsonValueKind.Null ? null : value;
    }

    private static RecordColumn Of(string name) => new(name, ColumnKind.Text, name);

    private static RecordColumn Tokens(string name) => new(name, ColumnKind.Integer, "usage", name);
}
