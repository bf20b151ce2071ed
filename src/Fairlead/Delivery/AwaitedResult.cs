using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;

namespace Fairlead.Delivery;

/// <summary>The result of a run whose client waits for it, as the response to its request. Thread-safe.</summary>
internal sealed class AwaitedResult(IdempotencyKeys keys)
{
    /// <summary>Takes over the end of the run, and stores the response for a repeated request.</summary>
    public async Task ConcludeAsync(GatewayCall call, GenerationRun run, RunResult result)
    {
        if (result.Error is { } failed)
        {
            call.Attempts.AddRange(run.Call.Attempts);
            call.Ending = run.Call.Ending;
            await keys.ConcludeAsync(call, failed);
        }
        else
        {
            await keys.CompleteAsync(call, result.Status, "application/json", result.Body);
        }
    }

    /// <summary>Sets status and headers, and returns the body to send.</summary>
    public static ReadOnlyMemory<byte> Prepare(IClientResponse response, GenerationRun run, RunResult result)
    {
        if (result.Error is { } error)
        {
            response.Status = ErrorBodyWriter.StatusOf(error, run.Call.Dialect.ErrorShape);
            ErrorResponses.WriteHeaders(response.Headers, error, run.Call.Dialect.ErrorShape);
        }
        else
        {
            response.Status = result.Status;
            response.Headers.ContentType = "application/json";
        }
        ReplyHeaders.Write(response.Headers, run.Call, result.Error);
        var body = Originals.Of(run.Call) is { } originals ? originals.Restore(result.Body) : result.Body;
        response.Headers.ContentLength = body.Length;
        return body;
    }
}
