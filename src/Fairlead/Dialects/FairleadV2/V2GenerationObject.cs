using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>The generation object of a call: the same that <c>GET /v2/generations/{id}</c> returns for a stored generation.</summary>
internal static class V2GenerationObject
{
    /// <summary>For a call that has been accepted.</summary>
    /// <param name="call">The call.</param>
    /// <param name="kept">The stored generation; null when it is not stored.</param>
    /// <param name="output">Receives the object.</param>
    public static void WriteCreated(GatewayCall call, GenerationRecord? kept, IBufferWriter<byte> output) =>
        Write((kept ?? Record(call)) with { Status = GenerationStatus.Queued, Outcome = null, StartedAt = null, EndedAt = null,
            ExpiresAt = null, Runs = 0, Details = null, Progress = null }, isStored: kept is not null, output);

    /// <summary>For one whose first run has started.</summary>
    public static void WriteStarted(GatewayCall call, GenerationRecord? kept, IBufferWriter<byte> output) =>
        Write((kept ?? Record(call)) with { Status = GenerationStatus.InProgress, Outcome = null, EndedAt = null, ExpiresAt = null,
            Runs = 1, Details = null, Progress = null }, isStored: kept is not null, output);

    /// <summary>For a call whose ending is set.</summary>
    /// <param name="call">The call.</param>
    /// <param name="answer">The response.</param>
    /// <param name="output">Receives the object.</param>
    public static void WriteEnded(GatewayCall call, ModelResponse? answer, IBufferWriter<byte> output)
    {
        var ending = call.Ending
            ?? throw new InvalidOperationException("A completed generation is written only after its final status is set.");
        Write(Record(call) with
        {
            Status = ending.Outcome.ToStatus(),
            Outcome = ending.Outcome,
            EndedAt = JobCalls.Stored(call.Time.GetUtcNow()),
            Details = GenerationDetails.Of(call, answer, ending.Error is { } error ? call.Dialect.Requests.WithClientParameter(call, error)
                : null),
        }, isStored: call.RunLease is not null, output);
    }

    private static void Write(GenerationRecord record, bool isStored, IBufferWriter<byte> output)
    {
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        GenerationWriter.WriteOne(json, record, null, null, isStored);
    }

    private static GenerationRecord Record(GatewayCall call) =>
        JobCalls.RecordOf(call) with { Request = [], Runs = call.Run, StartedAt = JobCalls.Stored(call.StartedAt) };
}
