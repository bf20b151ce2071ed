using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>The generation object of a call: the same that <c>GET /v2/generations/{id}</c> gives of one that is kept.</summary>
internal static class V2GenerationObject
{
    /// <summary>Of a call that has been accepted.</summary>
    /// <param name="call">The call.</param>
    /// <param name="kept">The generation, when it is kept.</param>
    /// <param name="output">Takes the object.</param>
    public static void WriteCreated(GatewayCall call, GenerationRecord? kept, IBufferWriter<byte> output) =>
        Write((kept ?? Record(call)) with { Status = GenerationStatus.Queued, Outcome = null, StartedAt = null, EndedAt = null, ExpiresAt = null, Runs = 0, Details = null, Progress = null }, output);

    /// <summary>Of one whose first run has begun.</summary>
    public static void WriteStarted(GatewayCall call, GenerationRecord? kept, IBufferWriter<byte> output) =>
        Write((kept ?? Record(call)) with { Status = GenerationStatus.InProgress, Outcome = null, EndedAt = null, ExpiresAt = null, Runs = 1, Details = null, Progress = null }, output);

    /// <summary>Of a call whose ending is set.</summary>
    /// <param name="call">The call.</param>
    /// <param name="answer">What was made of it.</param>
    /// <param name="output">Takes the object.</param>
    public static void WriteEnded(GatewayCall call, Answer? answer, IBufferWriter<byte> output)
    {
        var ending = call.Ending ?? throw new InvalidOperationException("A generation is written as ended after its ending is fixed.");
        Write(Record(call) with
        {
            Status = ending.Outcome.ToStatus(),
            Outcome = ending.Outcome,
            EndedAt = JobCalls.Kept(call.Time.GetUtcNow()),
            Details = GenerationDetails.Of(call, answer, ending.Error is { } error ? call.Dialect.Requests.WithClientParameter(call, error) : null),
        }, output);
    }

    private static void Write(GenerationRecord record, IBufferWriter<byte> output)
    {
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        GenerationWriter.WriteOne(json, record, null, null);
    }

    private static GenerationRecord Record(GatewayCall call) => JobCalls.RecordOf(call) with { Request = [], Runs = call.Run, StartedAt = JobCalls.Kept(call.StartedAt) };
}
