using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Dialects;

namespace Fairlead.Auditing.Records;

/// <summary>
/// What the database's columns need of one audit record, found in one pass. Texts are the record's own bytes unless they contain an
/// escape, so they are valid as long as the window from which they were read.
/// </summary>
internal sealed class ShippedCall
{
    private static readonly ReadOnlyMemory<byte> DefaultClass = Encoding.UTF8.GetBytes(CallClasses.Default);

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

    /// <summary>The dialect of the request; empty for a record of administration.</summary>
    public ReadOnlyMemory<byte> Dialect { get; private set; }

    public ReadOnlyMemory<byte>? Model { get; private set; }

    /// <summary>The provider of the response, or of the last attempt.</summary>
    public ReadOnlyMemory<byte>? Provider { get; private set; }

    public ReadOnlyMemory<byte>? ErrorCode { get; private set; }

    /// <summary>Who caused the call, as its client names them.</summary>
    public ReadOnlyMemory<byte>? EndUser { get; private set; }

    /// <summary>The request's metadata; null for none.</summary>
    public List<(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Value)>? Metadata { get; private set; }

    /// <summary>Cost of all attempts in picodollars.</summary>
    public long CostPicoUsd { get; private set; }

    public AuditRecordKind Kind { get; private set; } = AuditRecordKind.Generation;

    /// <summary>The end of the record in its node's spool; null if it does not come from there.</summary>
    public SpoolPosition? Position { get; set; }

    /// <summary>Whether another process may have written the same record already: it was left by a killed one.</summary>
    public bool IsRecovered { get; set; }

    /// <summary>The content of the call, which is stored beside its record; null for none.</summary>
    public ReadOnlyMemory<byte>? Content { get; set; }

    /// <summary>The content as it is stored; null until it was made ready.</summary>
    public SealedContent? SealedContent { get; set; }

    /// <summary>Number of the record in the chain of its node; 0 until it was added there.</summary>
    public long ChainSequence { get; set; }

    /// <summary>The default class for a record without one.</summary>
    public ReadOnlyMemory<byte> Class { get; private set; } = DefaultClass;

    public ReadOnlyMemory<byte> Outcome { get; private set; }

    /// <summary>Whether this process has ended the call itself: it is not one that an earlier process left.</summary>
    public bool EndedHere { get; set; }

    public List<ShippedAttempt> Attempts { get; } = new(1);

    /// <summary>Whether it counts as a request of its caller: it got a response, or at least an attempt. A refusal does not.</summary>
    public bool Counts =>
        Kind == AuditRecordKind.Generation && (Attempts.Count > 0 || !Outcome.Span.SequenceEqual("failed"u8));

    /// <summary>Reads a record; null when it is not one.</summary>
    public static ShippedCall? Read(ReadOnlyMemory<byte> record, long sequence) => ReadFrame(record, sequence) ?? Parse(record, sequence, AuditRecordKind.Generation);

    /// <summary>Reads a record of administration; null when it is not one.</summary>
    public static ShippedCall? ReadAdministration(ReadOnlyMemory<byte> record, long sequence) =>
        Parse(record, sequence, AuditRecordKind.Administration);

    /// <summary>Reads a record of the given kind; null when it is not one.</summary>
    public static ShippedCall? Read(ReadOnlyMemory<byte> record, long sequence, AuditRecordKind kind) =>
        kind == AuditRecordKind.Generation ? Read(record, sequence) : Parse(record, sequence, kind);

    /// <summary>
    /// Reads a record in the form of <see cref="AuditRecordWriter"/>, in a quarter of the time of parsing; null if it has another
    /// form, such as a record of the recovery, or a text with an escape.
    /// </summary>
    internal static ShippedCall? ReadFrame(ReadOnlyMemory<byte> record, long sequence)
    {
        var frame = new RecordFrame(record);
        var call = new ShippedCall { Record = record, Sequence = sequence };
        call.Id = frame.Text(AuditRecordMembers.Id);
        var at = frame.Text(AuditRecordMembers.At);
        call.RequestId = frame.Text(AuditRecordMembers.RequestId);
        call.GenerationId = frame.Text(AuditRecordMembers.GenerationId);
        call.OrganizationId = frame.Text(AuditRecordMembers.OrganizationId);
        call.ProjectId = frame.Text(AuditRecordMembers.ProjectId);
        call.KeyId = frame.Text(AuditRecordMembers.KeyId);
        frame.SkipTo(AuditRecordMembers.Dialect);
        call.Dialect = frame.TextOrNull() ?? default;
        frame.SkipTo(AuditRecordMembers.Model);
        call.Model = frame.TextOrNull();
        frame.Skip(AuditRecordMembers.Provider);
        call.Provider = frame.TextOrNull();
        frame.SkipTo(AuditRecordMembers.Class);
        call.Class = frame.TextOrNull() ?? DefaultClass;
        frame.SkipTo(AuditRecordMembers.Attempts);
        frame.Skip("["u8);
        while (frame.StartsWith("{"u8)) call.Attempts.Add(ReadAttempt(ref frame));
        frame.Skip("]"u8);
        frame.Skip(AuditRecordMembers.Usage);
        frame.SkipTo(AuditRecordMembers.CostUsd);
        call.CostPicoUsd = Money.ToPico(frame.Money(default));
        frame.Skip(AuditRecordMembers.Outcome);
        call.Outcome = frame.TextOrNull() ?? default;
        frame.Skip(AuditRecordMembers.ErrorCode);
        call.ErrorCode = frame.TextOrNull();
        if (frame.StartsWith(AuditRecordMembers.EndUser)) call.EndUser = frame.Text(AuditRecordMembers.EndUser);
        if (frame.StartsWith(AuditRecordMembers.Metadata)) call.ReadMetadata(ref frame);
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

    private void ReadMetadata(ref RecordFrame frame)
    {
        frame.Skip(AuditRecordMembers.Metadata);
        frame.Skip("{"u8);
        Metadata = [];
        while (true)
        {
            var key = frame.Text(default);
            Metadata.Add((key, frame.Text(":"u8)));
            if (!frame.StartsWith(","u8)) break;
            frame.Skip(","u8);
        }
        frame.Skip("}"u8);
    }

    private static ShippedAttempt ReadAttempt(ref RecordFrame frame)
    {
        var attempt = new ShippedAttempt { Id = frame.Text(AuditRecordMembers.Id) };
        attempt.Number = frame.Number(AuditRecordMembers.AttemptNumber);
        attempt.Deployment = frame.Text(AuditRecordMembers.AttemptDeployment);
        attempt.Provider = frame.Text(AuditRecordMembers.Provider);
        attempt.UpstreamModel = frame.Text(AuditRecordMembers.Model);
        frame.Skip(AuditRecordMembers.Outcome);
        attempt.Outcome = frame.TextOrNull();
        frame.SkipTo(AuditRecordMembers.Usage);
        attempt.InputTokens = frame.Number(UsageJson.InputTokens);
        attempt.CachedInputTokens = frame.Number(UsageJson.CachedInputTokens);
        attempt.CacheWriteTokens = frame.Number(UsageJson.CacheWriteTokens);
        attempt.OutputTokens = frame.Number(UsageJson.OutputTokens);
        attempt.ReasoningTokens = frame.Number(UsageJson.ReasoningTokens);
        attempt.Basis = frame.Text(UsageJson.Basis);
        frame.Skip("}"u8);
        attempt.CostPicoUsd = Money.ToPico(frame.Money(AuditRecordMembers.CostUsd));
        if (frame.StartsWith(AuditRecordMembers.Difference)) ReadDifference(ref frame, attempt);
        frame.Skip("}"u8);
        if (frame.StartsWith(","u8)) frame.Skip(","u8);
        return attempt;
    }

    private static void ReadDifference(ref RecordFrame frame, ShippedAttempt attempt)
    {
        attempt.Difference = frame.Text(AuditRecordMembers.Difference);
        if (!frame.StartsWith(AuditRecordMembers.Reported)) return;
        frame.Skip(AuditRecordMembers.Reported);
        var (input, cached) = (frame.Number(UsageJson.InputTokens), frame.Number(UsageJson.CachedInputTokens));
        var (written, output) = (frame.Number(UsageJson.CacheWriteTokens), frame.Number(UsageJson.OutputTokens));
        var reasoning = frame.Number(UsageJson.ReasoningTokens);
        _ = frame.Text(UsageJson.Basis);
        frame.Skip("}"u8);
        attempt.Reported = new ReportedTokens(
            input, cached, written, output, reasoning, Money.ToPico(frame.Money(AuditRecordMembers.ReportedCostUsd)));
    }

    private static ShippedCall? Parse(ReadOnlyMemory<byte> record, long sequence, AuditRecordKind kind)
    {
        try
        {
            var call = new ShippedCall { Record = record, Sequence = sequence, Kind = kind };
            var reader = new Utf8JsonReader(record.Span);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName) call.ReadMember(ref reader);
            var isWhole = !call.Id.IsEmpty && !call.Outcome.IsEmpty
                && (kind == AuditRecordKind.Administration || !call.GenerationId.IsEmpty);
            return isWhole ? call : null;
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or OverflowException)
        {
            return null;
        }
    }

    private void ReadMember(ref Utf8JsonReader reader)
    {
        if (Is(reader, AuditRecordMembers.Id)) Id = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.At)) At = Time(ref reader);
        else if (Is(reader, AuditRecordMembers.RequestId)) RequestId = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.GenerationId)) GenerationId = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.OrganizationId)) OrganizationId = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.ProjectId)) ProjectId = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.KeyId)) KeyId = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.Dialect)) Dialect = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.Model)) Model = Text(ref reader);
        else if (Is(reader, AuditRecordMembers.Provider)) Provider = Text(ref reader);
        else if (Is(reader, AuditRecordMembers.CostUsd)) CostPicoUsd = Cost(ref reader);
        else if (Is(reader, AuditRecordMembers.ErrorCode)) ErrorCode = Text(ref reader);
        else if (Is(reader, AuditRecordMembers.EndUser)) EndUser = Text(ref reader);
        else if (Is(reader, AuditRecordMembers.Metadata)) ReadMetadata(ref reader);
        else if (reader.ValueTextEquals("parameters"u8)) ReadParameters(ref reader);
        else if (Is(reader, AuditRecordMembers.Outcome)) Outcome = Text(ref reader) ?? default;
        else if (Is(reader, AuditRecordMembers.Attempts)) ReadAttempts(ref reader);
        else Skip(ref reader);
    }

    private void ReadParameters(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject) reader.Skip();
        else while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(reader, AuditRecordMembers.Class)) Class = Text(ref reader) ?? DefaultClass;
            else Skip(ref reader);
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject) reader.Skip();
        else while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            ReadOnlyMemory<byte> key = Encoding.UTF8.GetBytes(reader.GetString()!);
            (Metadata ??= []).Add((key, Text(ref reader) ?? default));
        }
    }

    private void ReadAttempts(ref Utf8JsonReader reader)
    {
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.StartObject) Attempts.Add(ReadAttempt(ref reader));
    }

    private ShippedAttempt ReadAttempt(ref Utf8JsonReader reader)
    {
        var attempt = new ShippedAttempt();
        ShippedAttempt? reported = null;
        var reportedCost = 0L;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(reader, AuditRecordMembers.Id)) attempt.Id = Text(ref reader) ?? default;
            else if (Is(reader, AuditRecordMembers.AttemptNumber)) attempt.Number = Number(ref reader);
            else if (Is(reader, AuditRecordMembers.AttemptDeployment)) attempt.Deployment = Text(ref reader) ?? default;
            else if (Is(reader, AuditRecordMembers.Provider)) attempt.Provider = Text(ref reader) ?? default;
            else if (Is(reader, AuditRecordMembers.Model)) attempt.UpstreamModel = Text(ref reader) ?? default;
            else if (Is(reader, AuditRecordMembers.Outcome)) attempt.Outcome = Text(ref reader);
            else if (Is(reader, AuditRecordMembers.Usage)) ReadUsage(ref reader, attempt);
            else if (Is(reader, AuditRecordMembers.CostUsd)) attempt.CostPicoUsd = Cost(ref reader);
            else if (Is(reader, AuditRecordMembers.Difference)) attempt.Difference = Text(ref reader);
            else if (Is(reader, AuditRecordMembers.Reported)) reported = ReadReported(ref reader);
            else if (Is(reader, AuditRecordMembers.ReportedCostUsd)) reportedCost = Cost(ref reader);
            else Skip(ref reader);
        }
        if (reported is not null)
        {
            attempt.Reported = new ReportedTokens(reported.InputTokens, reported.CachedInputTokens, reported.CacheWriteTokens,
                reported.OutputTokens, reported.ReasoningTokens, reportedCost);
        }
        return attempt;
    }

    private ShippedAttempt ReadReported(ref Utf8JsonReader reader)
    {
        var counts = new ShippedAttempt();
        ReadUsage(ref reader, counts);
        return counts;
    }

    private void ReadUsage(ref Utf8JsonReader reader, ShippedAttempt attempt)
    {
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(reader, UsageJson.InputTokens)) attempt.InputTokens = Number(ref reader);
            else if (Is(reader, UsageJson.CachedInputTokens)) attempt.CachedInputTokens = Number(ref reader);
            else if (Is(reader, UsageJson.CacheWriteTokens)) attempt.CacheWriteTokens = Number(ref reader);
            else if (Is(reader, UsageJson.OutputTokens)) attempt.OutputTokens = Number(ref reader);
            else if (Is(reader, UsageJson.ReasoningTokens)) attempt.ReasoningTokens = Number(ref reader);
            else if (Is(reader, UsageJson.Basis)) attempt.Basis = Text(ref reader) ?? default;
            else Skip(ref reader);
        }
    }

    private static bool Is(in Utf8JsonReader reader, ReadOnlySpan<byte> member) =>
        reader.ValueTextEquals(AuditRecordMembers.NameOf(member));

    private static void Skip(ref Utf8JsonReader reader)
    {
        reader.Read();
        reader.Skip();
    }

    private static long Time(ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.GetDateTimeOffset().ToUnixTimeMilliseconds();
    }

    private static long Cost(ref Utf8JsonReader reader)
    {
        reader.Read();
        return Money.ToPico(Money.Parse(reader.ValueSpan));
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
