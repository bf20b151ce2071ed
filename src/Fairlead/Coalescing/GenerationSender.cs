using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>
/// Sends the attempts of a shared generation: 1. as a call of its own, with a copy of the request, which does not end with any of its
/// callers, 2. its events go to the log until the provider ends, 3. the owner reads them like all others.
/// </summary>
internal sealed class GenerationSender(GenerationShare share, GenerationFlights flights, IConfigurationSource configuration) : IAttemptSender
{
    private readonly GenerationFlight _flight = share.Flight;

    public async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        // 1.
        var copy = await CopyAsync(call, cancellationToken);
        var own = new Attempt(attempt.Id, attempt.Number, attempt.Deployment)
        {
            StartedAt = attempt.StartedAt,
            Memory = attempt.Memory,
            Quota = attempt.Quota,
            Sending = () => attempt.Sent = true,
        };
        own.Meter.CreatedAt = attempt.Meter.CreatedAt;
        copy.ProviderKey = call.ProviderKey;
        flights.TryRun(_flight, copy, own);
        var first = new TaskCompletionSource<GatewayReply.AttemptFailed?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _ = Task.Run(() => RunAsync(copy, own, first), CancellationToken.None);

        var failed = await first.Task.WaitAsync(cancellationToken);
        attempt.UpstreamStatus = own.UpstreamStatus;
        attempt.ConnectTicks = own.ConnectTicks;
        attempt.KeyId = own.KeyId;
        attempt.HasOtherKey = own.HasOtherKey;
        attempt.Meter.UpstreamModel = own.Meter.UpstreamModel;
        foreach (var warning in copy.Warnings) call.Warn(warning.Code, warning.Message);
        if (failed is not null) return failed;

        // 3.
        return new GatewayReply.Streaming(new GenerationReader(share, attempt, observes: false));
    }

    private async ValueTask<GatewayCall> CopyAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var body = new PooledBuffer(call.Body.Length, call.Memory);
        body.Write(call.Body.WrittenSpan);
        var copy = new GatewayCall(call.RequestId, call.GenerationId, call.Dialect, call.Caller, call.Time)
        {
            StartedAt = call.StartedAt,
            Memory = call.Memory,
            Body = body,
            Model = call.Model,
            Endpoint = call.Endpoint,
            Site = call.Site,
            Class = call.Class,
            Simulate = call.Simulate,
            AnthropicVersion = call.AnthropicVersion,
            AnthropicBeta = call.AnthropicBeta,
            Session = call.Session,
            IncomingTrace = call.IncomingTrace,
            MaxInputTokens = call.MaxInputTokens,
            InputEstimate = call.InputEstimate,
            MustTranslate = call.MustTranslate,
            IsRepair = call.IsRepair,
            Streams = true,
        };
        try
        {
            if (call.OutputCap is { } cap) copy.CapOutput(cap);
            var bounds = configuration.Current.Requests;
            var error = copy.Dialect.Requests.Read(copy, bounds) ?? await copy.Dialect.Requests.ResolveAsync(copy, bounds, cancellationToken);
            if (error is not null) throw new GatewayErrorException(error);
            // What cannot be translated is refused before anything is sent.
            _ = copy.Conversation;
            return copy;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    private async Task RunAsync(GatewayCall call, Attempt attempt, TaskCompletionSource<GatewayReply.AttemptFailed?> first)
    {
        try
        {
            var failed = await PumpAsync(call, attempt, first);
            if (failed is null)
            {
                flights.End(_flight);
                first.TrySetResult(null);
                return;
            }
            flights.RunFailed(_flight);
            first.TrySetResult(failed);
        }
        catch (Exception exception)
        {
            // Before the first event, the owner throws it; after that, all get it as an error.
            if (!_flight.Start.IsCompleted)
            {
                flights.RunFailed(_flight);
                if (!first.TrySetException(exception)) return;
                // Nobody may be left to see it.
                _ = first.Task.Exception;
                return;
            }
            using var batch = new EventBatch();
            batch.Add(new AttemptFailed(new GatewayError(ErrorCode.ProviderError, "The model's provider did not finish the response.")));
            _flight.Log.Append(batch);
            flights.End(_flight);
        }
        finally
        {
            call.Body.Dispose();
        }
    }

    // 2. Returns the failure of an attempt that had no content.
    private async ValueTask<GatewayReply.AttemptFailed?> PumpAsync(GatewayCall call, Attempt attempt,
        TaskCompletionSource<GatewayReply.AttemptFailed?> first)
    {
        var reply = await attempt.Deployment.Provider.SendAsync(call, attempt, _flight.Stopped);
        if (reply is GatewayReply.AttemptFailed failed) return failed;
        using var batch = new EventBatch();
        if (reply is GatewayReply.Complete complete)
        {
            ResponseEvents.Add(complete.Response, attempt.Meter.Report, batch);
            _flight.Log.Append(batch);
            Begin(first);
            return null;
        }
        if (reply is not GatewayReply.Streaming streaming) throw new InvalidOperationException($"A shared generation got {reply.GetType().Name}.");

        await using var events = streaming.Events;
        using var held = new EventBatch();
        var (hasBegun, bytes) = (false, 0L);
        while (await events.ReadAsync(batch, _flight.Stopped))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is not { } made) continue;
                if (made is AttemptFailed broken)
                {
                    attempt.Error = broken.Error;
                    if (!hasBegun) return new GatewayReply.AttemptFailed(broken.Error, Providers.Http.UpstreamErrors.ClassOf(broken.Error), attempt.UpstreamStatus);
                }
                attempt.Meter.Observe(made);
                bytes += EventLog.SizeOf(made);
            }
            held.Append(batch);
            // What an attempt says before its content is void if it fails.
            if (!hasBegun && !held.HasContent) continue;
            _flight.Log.Append(held);
            held.Clear();
            if (!hasBegun) Begin(first);
            hasBegun = true;
            // A later call could not read the start any more.
            if (bytes > EventMemory.MaxBytesOfLog / 2) flights.Close(_flight);
        }
        if (held.Items.Count > 0) _flight.Log.Append(held);
        if (hasBegun) return null;
        if (attempt.Meter.FinishReason is null)
        {
            return new GatewayReply.AttemptFailed(
                new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream without a response."), FailureClass.Retry,
                attempt.UpstreamStatus);
        }
        Begin(first);
        return null;
    }

    private void Begin(TaskCompletionSource<GatewayReply.AttemptFailed?> first)
    {
        flights.Begin(_flight);
        first.TrySetResult(null);
    }
}
