using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Coalescing;

/// <summary>Sends the inputs that a call computes, alone or together with those of other calls.</summary>
internal sealed class EmbeddingSender(EmbeddingWork work, EmbeddingFlights flights, EmbeddingBatches batches) : IAttemptSender
{
    public async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        var share = new EmbeddingShare(work, call, attempt);
        flights.Attach(share);
        batches.Send(share);
        try
        {
            // The request does not end with this call: others may need it. If none does, the stage cancels it.
            return await share.Reply.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            _ = DiscardAsync(share.Reply);
            throw;
        }
    }

    // The reply of a call that has left.
    private static async Task DiscardAsync(Task<GatewayReply> reply)
    {
        await ((Task)reply).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (reply.IsCompletedSuccessfully && await reply is GatewayReply.NativeBody native) native.Body.Dispose();
    }
}
