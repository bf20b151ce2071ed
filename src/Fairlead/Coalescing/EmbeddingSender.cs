using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Coalescing;

/// <summary>Sends the inputs that a call computes, alone or together with those of other calls.</summary>
internal sealed class EmbeddingSender(EmbeddingWork work, EmbeddingFlights flights, EmbeddingBatches batches, EmbeddingTakeovers takeovers)
    : IAttemptSender
{
    public async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        // Another call must not fail with it again, and a test of the deployment has a result of its own.
        var isAlone = attempt.Health.IsTest || call.Attempts.Exists(SharedRequest.MayBeOfContent);
        // One retry was taken for all calls of the request that failed.
        var failed = call.Attempts.FindLast(each => each != attempt && each.Deployment == attempt.Deployment);
        var share = new EmbeddingShare(work, call, attempt)
        {
            IsAlone = isAlone,
            IsRepeated = !isAlone && failed is { Error: not null, SharedRequest: not null },
        };
        if (!share.IsWhole) takeovers.Checkpoint(work, attempt, share.Bytes);
        flights.Attach(share);
        batches.Send(share);
        try
        {
            // The request does not end with this call: others may need it. If none does, the stage cancels it.
            await takeovers.WaitAsync(work, share.Reply, attempt, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            _ = DiscardAsync(share.Reply);
            throw;
        }
        takeovers.AddAttempts(work);
        return await share.Reply;
    }

    // The reply of a call that has left.
    private static async Task DiscardAsync(Task<GatewayReply> reply)
    {
        await ((Task)reply).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (reply.IsCompletedSuccessfully && await reply is GatewayReply.NativeBody native) native.Body.Dispose();
    }
}
