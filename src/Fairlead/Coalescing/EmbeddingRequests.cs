using Fairlead.Conversation;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Coalescing;

/// <summary>
/// Sends the request of a run and divides its response: 1. in parts, if the provider accepts fewer inputs, 2. each as a call of its own,
/// which does not end with any of its callers, 3. the usage among the inputs by their bytes, exact in sum, 4. the vectors to all that wait.
/// Thread-safe.
/// </summary>
internal sealed class EmbeddingRequests(IConfigurationSource configuration, EmbeddingFlights flights, AttemptCharge charge,
    CoalescingMetrics metrics)
{
    /// <returns>Shares that must be sent again, each alone, because the provider refused all of them together.</returns>
    public async Task<IReadOnlyList<EmbeddingShare>> SendAsync(EmbeddingRun run)
    {
        var parts = new List<EmbeddingPart>();
        try
        {
            // 1.
            foreach (var part in EmbeddingPart.Of(run))
            {
                parts.Add(part);
                // 2.
                var failure = await SendAsync(run, part);
                if (failure is null) continue;
                // The provider refused what the request contains, and not all of its calls contain it.
                if (run.Shares.Count > 1 && failure.Class == FailureClass.GiveBack) return Again(run);
                Fail(run, parts, failure);
                return [];
            }
            Complete(run, parts);
            return [];
        }
        catch (Exception exception)
        {
            if (exception is GatewayErrorException && run.Shares.Count > 1) return Again(run);
            foreach (var share in run.Shares)
            {
                flights.Detach(share);
                share.Throw(exception);
                share.Dispose();
            }
            return [];
        }
        finally
        {
            foreach (var part in parts) part.Dispose();
        }
    }

    private List<EmbeddingShare> Again(EmbeddingRun run)
    {
        foreach (var share in run.Shares) flights.IfPresent(share, static each => each.Attempt.Share = null);
        return [.. run.Shares];
    }

    private async Task<GatewayReply.AttemptFailed?> SendAsync(EmbeddingRun run, EmbeddingPart part)
    {
        var call = part.Begin(configuration.Current.Requests, () =>
        {
            foreach (var share in run.Shares) flights.IfPresent(share, static each => each.Attempt.Sent = true);
        });
        metrics.Sent(part.Items.Count, run.Shares.Count);
        GatewayReply reply;
        try
        {
            reply = await call.Deployment.Provider.SendAsync(call.Call, call.Attempt, run.Token);
        }
        catch (OperationCanceledException) when (run.Token.IsCancellationRequested)
        {
            // Nobody waits any more.
            reply = new GatewayReply.AttemptFailed(
                new GatewayError(ErrorCode.ProviderError, "No call needs the response any more."), FailureClass.GiveBack);
        }
        if (reply is GatewayReply.AttemptFailed failed)
        {
            call.Attempt.Error = failed.Error;
            call.Attempt.UpstreamStatus = failed.Status ?? call.Attempt.UpstreamStatus;
        }
        charge.Fix(call.Call, call.Attempt);
        return part.Take(reply);
    }

    private void Complete(EmbeddingRun run, List<EmbeddingPart> parts)
    {
        // The response of one call that has the whole request to itself is passed on as it is.
        var isSplit = parts.Count > 1 || run.Shares.Count > 1 || !run.Shares[0].IsWhole;
        var usages = EmbeddingUsage.Divide(parts);
        // The inputs of all shares follow each other, and every part but the last is full.
        var partSize = parts[0].Items.Count;
        var first = 0;
        foreach (var share in run.Shares)
        {
            var own = usages[share];
            var offset = first;
            first += own.Length;
            flights.Complete(share, own, isSplit,
                (index, usage) => parts[(offset + index) / partSize].VectorOf((offset + index) % partSize, usage),
                present => Apply(present, parts, isSplit, EmbeddingUsage.Sum(own)));
            if (isSplit || !share.TryReply(parts[0].TakeReply())) share.TryReply(EmbeddingPart.NoReply);
            share.Dispose();
        }
    }

    private void Fail(EmbeddingRun run, List<EmbeddingPart> parts, GatewayReply.AttemptFailed failure)
    {
        var isSplit = parts.Count > 1 || run.Shares.Count > 1 || !run.Shares[0].IsWhole;
        var usages = EmbeddingUsage.Divide(parts);
        foreach (var share in run.Shares)
        {
            flights.IfPresent(share, present => Apply(present, parts, isSplit,
                usages.TryGetValue(share, out var own) ? EmbeddingUsage.Sum(own) : default));
            flights.Detach(share);
            share.TryReply(failure);
            share.Dispose();
        }
    }

    // Everything that an adapter sets on an attempt.
    private static void Apply(EmbeddingShare share, List<EmbeddingPart> parts, bool isSplit, Usage usage)
    {
        var (attempt, source) = (share.Attempt, parts[^1].Attempt);
        var sent = parts.Exists(static part => part.Attempt.Sent);
        if (attempt.Sent != sent) attempt.Sent = sent;
        attempt.UpstreamStatus = source.UpstreamStatus;
        attempt.KeyId = source.KeyId;
        attempt.HasOtherKey = source.HasOtherKey;
        attempt.ConnectTicks = parts[0].Attempt.ConnectTicks;
        attempt.Meter.UpstreamModel = source.Meter.UpstreamModel;
        if (source.Meter.FinishReason is { } reason)
        {
            attempt.Meter.AddOutput(0);
            attempt.Meter.Finish(reason, 0);
        }
        if (isSplit) attempt.Share = usage;
        else if (source.Meter.Report is { } report) attempt.Meter.ReportUsage(report);
        foreach (var part in parts) part.Tell(share.Call);
    }
}
