using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;

namespace Fairlead.Auditing;

/// <summary>
/// What the database's columns need of one audit record, found in one pass. Texts are the record's own bytes unless they contain an
/// escape, so they are valid as long as the window from which they were read.
/// </summary>
internal sealed class ShippedCall
{
    public long Sequence { get; private set; }

    public ReadOnlyMemory<byte> Record { get; private set; }

    public ReadOnlyMemory<byte> Id { get; private set; }

    /// <summary>Milliseconds since 1970.</summary>
    public long At { get; private set; }

    public ReadOnlyMemory<byte> RequestId { get; private set; }

    /// <summary>Whether the request's id is derived from the generation's by <see cref="Conversation.Ids.Sibling"/>.</summary>
    public bool HasItsOwnRequestId =>
        RequestId.Span.StartsWith("req_"u8) && GenerationId.Span.StartsWith("gen_"u8)
            && RequestId.Span[4..].SequenceEqual(GenerationId.Span[4..]);

    public ReadOnlyMemory<byte> GenerationId { get; private set; }

    public ReadOnlyMemory<byte> OrganizationId { get; private set; }

    public ReadOnlyMemory<byte> ProjectId { get; private set; }

    public ReadOnlyMemory<byte> KeyId { get; private set; }

    public ReadOnlyMemory<byte>? Model { get; private set; }

    public ReadOnlyMemory<byte> Outcome { get; private set; }

    public List<ShippedAttempt> Attempts { get; } = new(1);

    /// <summary>Whether it counts as a request of its caller: it got a response, or at least an attempt. A refusal does not.</summary>
    public bool Counts => Attempts.Count > 0 || !Outcome.Span.SequenceEqual("failed"u8);

    /// <summary>Reads a record; null when it is not one.</summary>
    public static ShippedCall? Read(ReadOnlyMemory<byte> record, long sequence) => ReadFrame(record, sequence) ?? Parse(record, sequence);

    /// <summary>
    /// Reads a record in the form of <see cref="Auditing.AuditRecordWriter"/>, in a quarter of the time of parsing; null if it has another
    /// form, such as a record of the recovery, or a text with an escape.
    /// </summary>
    internal static ShippedCall? ReadFrame(ReadOnlyMemory<byte> record, long sequence)
    {
        var frame = new RecordFrame(record);
        var call = new ShippedCall { Record = record, Sequence = sequence };
        call.Id = frame.Text("{\"id\":\""u8);
        var at = frame.Text(",\"at\":\""u8);
        call.RequestId = frame.Text(",\"request_id\":\""u8);
        call.GenerationId = frame.Text(",\"generation_id\":\""u8);
        call.OrganizationId = frame.Text(",\"organization_id\":\""u8);
        call.ProjectId = frame.Text(",\"project_id\":\""u8);
        call.KeyId = frame.Text(",\"key_id\":\""u8);
        frame.SkipTo(",\"model\":"u8);
        call.Model = frame.TextOrNull();
        frame.SkipTo(",\"attempts\":["u8);
        while (frame.StartsWith("{"u8)) call.Attempts.Add(ReadAttempt(ref frame));
        frame.SkipTo("],\"usage\":{"u8);
        frame.SkipTo(",\"outcome\":"u8);
        call.Outcome = frame.TextOrNull() ?? default;
        if (frame.Failed || call.Id.IsEmpty || call.GenerationId.IsEmpty || call.Outcome.IsEmpty) return null;
        // Other writers may use seven digits of a second or none.
        if (!Utf8Parser.TryParse(at.Span, out DateTimeOffset time, out var used, 'O') || used != at.Length)
        {
            if (!DateTimeOffset.TryParse(Encoding.UTF8.GetString(at.Span), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal,
                out time))
            {
                return null;
            }
        }
        call.At = time.ToUnixTimeMilliseconds();
        return call;
    }

    private static ShippedAttempt ReadAttempt(ref RecordFrame frame)
    {
        var attempt = new ShippedAttempt { Id = frame.Text("{\"id\":\""u8) };
        attempt.Number = frame.Number(",\"number\":"u8);
        attempt.Deployment = frame.Text(",\"deployment\":\""u8);
        attempt.Provider = frame.Text(",\"provider\":\""u8);
        attempt.UpstreamModel = frame.Text(",\"model\":\""u8);
        frame.Skip(",\"outcome\":"u8);
        attempt.Outcome = frame.TextOrNull();
        frame.SkipTo(",\"usage\":{\"input_tokens\":"u8);
        attempt.InputTokens = frame.Number(default);
        attempt.CachedInputTokens = frame.Number(",\"cached_input_tokens\":"u8);
        attempt.CacheWriteTokens = frame.Number(",\"cache_write_tokens\":"u8);
        attempt.OutputTokens = frame.Number(",\"output_tokens\":"u8);
        attempt.ReasoningTokens = frame.Number(",\"reasoning_tokens\":"u8);
        attempt.Basis = frame.Text(",\"basis\":\""u8);
        attempt.CostPicoUsd = Money.ToPico(frame.Money("},\"cost_usd\":"u8));
        frame.Skip("}"u8);
        if (frame.StartsWith(","u8)) frame.Skip(","u8);
        return attempt;
    }

    private static ShippedCall? Parse(ReadOnlyMemory<byte> record, long sequence)
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

    // By length first: of about thirty names in a record a dozen are needed. The names are fixed, so none is escaped.
    private void ReadMember(ref Utf8JsonReader reader)
    {
        var name = reader.ValueSpan;
        switch (name.Length)
        {
            case 2 when name.SequenceEqual("id"u8): Id = Text(ref reader) ?? default; break;
            case 2 when name.SequenceEqual("at"u8):
                reader.Read();
                At = reader.GetDateTimeOffset().ToUnixTimeMilliseconds();
                break;
            case 5 when name.SequenceEqual("model"u8): Model = Text(ref reader); break;
            case 6 when name.SequenceEqual("key_id"u8): KeyId = Text(ref reader) ?? default; break;
            case 7 when name.SequenceEqual("outcome"u8): Outcome = Text(ref reader) ?? default; break;
            case 8 when name.SequenceEqual("attempts"u8):
                reader.Read();
                while (reader.Read() && reader.TokenType == JsonTokenType.StartObject) Attempts.Add(ReadAttempt(ref reader));
                break;
            case 10 when name.SequenceEqual("request_id"u8): RequestId = Text(ref reader) ?? default; break;
            case 10 when name.SequenceEqual("project_id"u8): ProjectId = Text(ref reader) ?? default; break;
            case 13 when name.SequenceEqual("generation_id"u8): GenerationId = Text(ref reader) ?? default; break;
            case 15 when name.SequenceEqual("organization_id"u8): OrganizationId = Text(ref reader) ?? default; break;
            default:
                reader.Read();
                reader.Skip();
                break;
        }
    }

    private ShippedAttempt ReadAttempt(ref Utf8JsonReader reader)
    {
        var attempt = new ShippedAttempt();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.ValueSpan;
            switch (name.Length)
            {
                case 2 when name.SequenceEqual("id"u8): attempt.Id = Text(ref reader) ?? default; break;
                case 5 when name.SequenceEqual("model"u8): attempt.UpstreamModel = Text(ref reader) ?? default; break;
                case 5 when name.SequenceEqual("usage"u8): ReadUsage(ref reader, attempt); break;
                case 6 when name.SequenceEqual("number"u8): attempt.Number = Number(ref reader); break;
                case 7 when name.SequenceEqual("outcome"u8): attempt.Outcome = Text(ref reader); break;
                case 8 when name.SequenceEqual("provider"u8): attempt.Provider = Text(ref reader) ?? default; break;
                case 8 when name.SequenceEqual("cost_usd"u8):
                    reader.Read();
                    attempt.CostPicoUsd = Money.ToPico(Money.Parse(reader.ValueSpan));
                    break;
                case 10 when name.SequenceEqual("deployment"u8): attempt.Deployment = Text(ref reader) ?? default; break;
                default:
                    reader.Read();
                    reader.Skip();
                    break;
            }
        }
        return attempt;
    }

    private void ReadUsage(ref Utf8JsonReader reader, ShippedAttempt attempt)
    {
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.ValueSpan;
            switch (name.Length)
            {
                case 5 when name.SequenceEqual("basis"u8): attempt.Basis = Text(ref reader) ?? default; break;
                case 12 when name.SequenceEqual("input_tokens"u8): attempt.InputTokens = Number(ref reader); break;
                case 13 when name.SequenceEqual("output_tokens"u8): attempt.OutputTokens = Number(ref reader); break;
                case 16 when name.SequenceEqual("reasoning_tokens"u8): attempt.ReasoningTokens = Number(ref reader); break;
                case 18 when name.SequenceEqual("cache_write_tokens"u8): attempt.CacheWriteTokens = Number(ref reader); break;
                case 19 when name.SequenceEqual("cached_input_tokens"u8): attempt.CachedInputTokens = Number(ref reader); break;
                default:
                    reader.Read();
                    reader.Skip();
                    break;
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
