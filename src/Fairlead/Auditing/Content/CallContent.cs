using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Auditing.Content;

/// <summary>What the audit records of the content of one call: what its record says, and what is stored beside it. Immutable.</summary>
/// <param name="Member">The value of the record's member <c>content</c>, as JSON.</param>
/// <param name="Stored">The content; null at the level hash, and if nothing but the reason is recorded.</param>
internal sealed record CallContent(byte[] Member, byte[]? Stored)
{
    /// <summary>How much longer than the maximum content can be: its frame, and what the record says about it.</summary>
    public const int FrameBytes = 4096;

    /// <summary>What the record says about hashes.</summary>
    private const int HashBytes = 512;

    /// <summary>Characters of an output that are hashed at most, beside its first text.</summary>
    private const int MaxHashedCharacters = 4 * 1024 * 1024;

    private const int SaltBytes = 16;

    /// <summary>How many characters of the output of a call are collected.</summary>
    public static int MaxCharactersOf(ContentRecording recording) => recording.Level switch
    {
        AuditContent.Hash => MaxHashedCharacters,
        // Half of a match at the end would not be recognised, so it is removed there.
        AuditContent.Redacted => recording.MaxBytes + ContentRedaction.LongestMatch,
        _ => recording.MaxBytes,
    };

    /// <summary>Bytes that the content of a call can add to its record.</summary>
    public static int RoomOf(ContentRecording recording) =>
        recording.Level == AuditContent.Hash ? HashBytes : recording.MaxBytes + FrameBytes;

    /// <summary>The content of a call that has ended; null if it has none.</summary>
    /// <param name="call">The call.</param>
    /// <param name="recording">How it is recorded.</param>
    /// <param name="isStored">Whether something may be stored beside the record. Otherwise hashes are recorded at most.</param>
    public static CallContent? Of(GatewayCall call, ContentRecording recording, bool isStored = true)
    {
        var output = call.Output;
        try
        {
            var withheld = WhyWithheld(call);
            var body = withheld is null && call.Body is { Length: > 0 } own ? own : null;
            if (body is null && output is null && withheld is null) return null;
            return recording.Level == AuditContent.Hash || !isStored
                ? Hashes(call, body, withheld) : Texts(call, recording, body, withheld);
        }
        finally
        {
            output?.Dispose();
        }
    }

    /// <summary>What the record says when its content does not fit beside it.</summary>
    public static CallContent TooLarge(AuditContent level) => new(WithoutContent(level, "size"), null);

    /// <summary>Why the request must not be recorded; null if it may.</summary>
    private static string? WhyWithheld(GatewayCall call)
    {
        if (call.Body is not { Length: > 0 }) return null;
        // A policy says that nobody may have it. It was not redacted.
        if (call.Ending?.Error?.Code == ErrorCode.ContentBlocked) return "content_blocked";
        // A request that was refused before could have what a policy redacts or blocks.
        return call.HasPassedPolicies || call.Caller.Policies is { Rules: null or { HasInput: false } } ? null : "not_checked";
    }

    private static CallContent Hashes(GatewayCall call, PooledBuffer? body, string? withheld)
    {
        var member = new StringBuilder("{\"level\":\"hash\",\"input_sha256\":");
        Append(member, body is null ? null : SHA256.HashData(body.WrittenSpan));
        member.Append(",\"output_sha256\":");
        Append(member, call.Output is { } output ? OutputContent.HashOf(output) : null);
        if (withheld is not null) member.Append(CultureInfo.InvariantCulture, $",\"input_withheld\":\"{withheld}\"");
        if (call.Output is { IsTruncated: true }) member.Append(",\"truncated\":true");
        return new CallContent(Encoding.UTF8.GetBytes(member.Append('}').ToString()), null);
    }

    private static CallContent? Texts(GatewayCall call, ContentRecording recording, PooledBuffer? body, string? withheld)
    {
        var isRedacted = recording.Level == AuditContent.Redacted;
        using var redaction = isRedacted ? new ContentRedaction(call) : null;
        // The texts of the request, decoded.
        using var held = new MemoryLease(call.Memory);
        if (body is not null && !held.TryTake(2L * body.Length)) (body, withheld) = (null, "memory");
        PooledBuffer? redacted = null;
        try
        {
            if (body is not null && redaction is not null && !TryRedact(redaction, body, out redacted, out var why)) (body, withheld) = (null, why);
            var input = redacted ?? body;
            using var output = call.Output is { Choices.Count: > 0 } collected ? Write(collected, redaction, recording.MaxBytes) : null;
            var outputBytes = output?.Written.Length ?? 0;
            using var request = input is null ? null : WriteInput(input, redaction, recording.MaxBytes - Math.Min(outputBytes, recording.MaxBytes / 2));
            var left = recording.MaxBytes - (request?.Written.Length ?? 0);
            using var shorter = outputBytes > left ? Write(call.Output!, redaction, left) : null;
            var response = shorter ?? output;
            if (input is not null && request is null) withheld = "invalid";
            if (request is null && response is null) return withheld is null ? null : new CallContent(WithoutContent(recording.Level, withheld), null);
            var isTruncated = request is { IsTruncated: true } || response is { IsTruncated: true } || call.Output is { IsTruncated: true };
            return Made(recording.Level, request, response, withheld, isTruncated);
        }
        finally
        {
            redacted?.Dispose();
        }
    }

    private static bool TryRedact(ContentRedaction redaction, PooledBuffer body, out PooledBuffer? redacted, out string? why)
    {
        (redacted, why) = (null, null);
        try
        {
            if (redaction.TryApply(body.WrittenSpan, out redacted)) return true;
            // The name of a tool looks like personal data or a secret, and cannot be replaced.
            why = "not_redactable";
        }
        catch (System.Text.Json.JsonException)
        {
            why = "invalid";
        }
        return false;
    }

    private static BoundedJson Write(Dialects.OutputCollector output, ContentRedaction? redaction, int maxBytes)
    {
        var json = new BoundedJson(maxBytes);
        OutputContent.Write(output, redaction, json);
        return json;
    }

    private static BoundedJson? WriteInput(PooledBuffer body, ContentRedaction? redaction, int maxBytes)
    {
        var json = new BoundedJson(maxBytes);
        if (InputContent.TryWrite(body.WrittenSpan, redaction, json)) return json;
        json.Dispose();
        return null;
    }

    private static CallContent? Made(AuditContent level, BoundedJson? input, BoundedJson? output, string? withheld, bool isTruncated)
    {
        var stored = new ArrayBufferWriter<byte>((input?.Written.Length ?? 0) + (output?.Written.Length ?? 0) + 256);
        // Without it, whoever guesses a removed text could compare its hash with that of the record.
        stored.Write("{\"salt\":\""u8);
        stored.Write(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SaltBytes))));
        stored.Write("\",\"input\":"u8);
        stored.Write(input is null ? "null"u8 : input.Written);
        if (withheld is not null) stored.Write(Encoding.ASCII.GetBytes($",\"input_withheld\":\"{withheld}\""));
        stored.Write(",\"output\":"u8);
        stored.Write(output is null ? "null"u8 : output.Written);
        stored.Write("}"u8);
        var member = new StringBuilder();
        member.Append(CultureInfo.InvariantCulture, $"{{\"level\":\"{AuditContents.Names[(int)level]}\",\"sha256\":");
        Append(member, SHA256.HashData(stored.WrittenSpan));
        member.Append(CultureInfo.InvariantCulture, $",\"bytes\":{stored.WrittenCount}");
        if (isTruncated) member.Append(",\"truncated\":true");
        return new CallContent(Encoding.UTF8.GetBytes(member.Append('}').ToString()), stored.WrittenSpan.ToArray());
    }

    private static byte[] WithoutContent(AuditContent level, string withheld) =>
        Encoding.UTF8.GetBytes($"{{\"level\":\"{AuditContents.Names[(int)level]}\",\"sha256\":null,\"input_withheld\":\"{withheld}\"}}");

    private static void Append(StringBuilder member, byte[]? hash)
    {
        if (hash is null) member.Append("null");
        else member.Append('"').Append(Convert.ToHexStringLower(hash)).Append('"');
    }
}
