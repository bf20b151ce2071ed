using System.Text;
using System.Text.Json;

namespace Fairlead.Ledger;

/// <summary>
/// What the database's columns need of one audit record, found in one pass. Texts are the record's own bytes wherever they hold no
/// escape, so they live as long as the window they were read from.
/// </summary>
internal sealed class ShippedCall
{
    public long Sequence { get; private set; }

    public ReadOnlyMemory<byte> Record { get; private set; }

    public ReadOnlyMemory<byte> Id { get; private set; }

    /// <summary>Milliseconds since 1970.</summary>
    public long At { get; private set; }

    public ReadOnlyMemory<byte> RequestId { get; private set; }

    public ReadOnlyMemory<byte> GenerationId { get; private set; }

    public ReadOnlyMemory<byte> OrganizationId { get; private set; }

    public ReadOnlyMemory<byte> ProjectId { get; private set; }

    public ReadOnlyMemory<byte> KeyId { get; private set; }

    public ReadOnlyMemory<byte>? Model { get; private set; }

    public ReadOnlyMemory<byte> Outcome { get; private set; }

    public List<ShippedAttempt> Attempts { get; } = new(1);

    /// <summary>Whether it counts as a request of its caller: it was answered, or at least tried. A refusal does not.</summary>
    public bool Counts => Attempts.Count > 0 || !Outcome.Span.SequenceEqual("failed"u8);

    /// <summary>Reads a record; null when it is not one.</summary>
    public static ShippedCall? Read(ReadOnlyMemory<byte> record, long sequence)
    {
        try
        {
            var call = new ShippedCall { Record = record, Sequence = sequence };
            var reader = new Utf8JsonReader(record.Span);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName) call.ReadMember(ref reader);
            return call.Id.IsEmpty || call.GenerationId.IsEmpty || call.Outcome.IsEmpty ? null : call;
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or OverflowException)
        {
            return null;
        }
    }

    private void ReadMember(ref Utf8JsonReader reader)
    {
        if (reader.ValueTextEquals("id"u8)) Id = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("at"u8))
        {
            reader.Read();
            At = reader.GetDateTimeOffset().ToUnixTimeMilliseconds();
        }
        else if (reader.ValueTextEquals("request_id"u8)) RequestId = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("generation_id"u8)) GenerationId = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("organization_id"u8)) OrganizationId = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("project_id"u8)) ProjectId = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("key_id"u8)) KeyId = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("model"u8)) Model = Text(ref reader);
        else if (reader.ValueTextEquals("outcome"u8)) Outcome = Text(ref reader) ?? default;
        else if (reader.ValueTextEquals("attempts"u8))
        {
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.StartObject) Attempts.Add(ReadAttempt(ref reader));
        }
        else
        {
            reader.Read();
            reader.Skip();
        }
    }

    private ShippedAttempt ReadAttempt(ref Utf8JsonReader reader)
    {
        var attempt = new ShippedAttempt();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("id"u8)) attempt.Id = Text(ref reader) ?? default;
            else if (reader.ValueTextEquals("number"u8)) attempt.Number = Number(ref reader);
            else if (reader.ValueTextEquals("deployment"u8)) attempt.Deployment = Text(ref reader) ?? default;
            else if (reader.ValueTextEquals("provider"u8)) attempt.Provider = Text(ref reader) ?? default;
            else if (reader.ValueTextEquals("model"u8)) attempt.UpstreamModel = Text(ref reader) ?? default;
            else if (reader.ValueTextEquals("outcome"u8)) attempt.Outcome = Text(ref reader);
            else if (reader.ValueTextEquals("cost_usd"u8))
            {
                reader.Read();
                attempt.CostPicoUsd = Money.ToPico(Money.Parse(reader.ValueSpan));
            }
            else if (reader.ValueTextEquals("usage"u8)) ReadUsage(ref reader, attempt);
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
        return attempt;
    }

    private void ReadUsage(ref Utf8JsonReader reader, ShippedAttempt attempt)
    {
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("input_tokens"u8)) attempt.InputTokens = Number(ref reader);
            else if (reader.ValueTextEquals("cached_input_tokens"u8)) attempt.CachedInputTokens = Number(ref reader);
            else if (reader.ValueTextEquals("cache_write_tokens"u8)) attempt.CacheWriteTokens = Number(ref reader);
            else if (reader.ValueTextEquals("output_tokens"u8)) attempt.OutputTokens = Number(ref reader);
            else if (reader.ValueTextEquals("reasoning_tokens"u8)) attempt.ReasoningTokens = Number(ref reader);
            else if (reader.ValueTextEquals("basis"u8)) attempt.Basis = Text(ref reader) ?? default;
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
    }

    private static long Number(ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.GetInt64();
    }

    private ReadOnlyMemory<byte>? Text(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null) return null;
        return reader.ValueIsEscaped
            ? Encoding.UTF8.GetBytes(reader.GetString()!)
            : Record.Slice((int)reader.TokenStartIndex + 1, reader.ValueSpan.Length);
    }
}

/// <summary>One attempt of a <see cref="ShippedCall"/>.</summary>
internal sealed class ShippedAttempt
{
    public ReadOnlyMemory<byte> Id { get; set; }

    public long Number { get; set; }

    public ReadOnlyMemory<byte> Deployment { get; set; }

    public ReadOnlyMemory<byte> Provider { get; set; }

    public ReadOnlyMemory<byte> UpstreamModel { get; set; }

    public ReadOnlyMemory<byte>? Outcome { get; set; }

    public long InputTokens { get; set; }

    public long CachedInputTokens { get; set; }

    public long CacheWriteTokens { get; set; }

    public long OutputTokens { get; set; }

    public long ReasoningTokens { get; set; }

    public ReadOnlyMemory<byte> Basis { get; set; }

    public long CostPicoUsd { get; set; }
}
