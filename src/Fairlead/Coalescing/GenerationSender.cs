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
        if (!ReferenceEquals(call.Model, _flight.Model))
        {
            // It was moved to a larger model, for which the others have not reserved, and which they may not be allowed to use.
            flights.Part(share, call);
            return await attempt.Deployment.Provider.SendAsync(call, attempt, cancellationToken);
        }

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
        var run = flights.Run(_flight, copy, own);
        var first = new TaskCompletionSource<GatewayReply.AttemptFailed?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _ = Task.Run(() => RunAsync(run, first), CancellationToken.None);

        var failed = await first.Task.WaitAsync(cancellationToken);
        attempt.UpstreamStatus = own.UpstreamStatus;
        attempt.ConnectTicks = own.ConnectTicks;
        attempt.KeyId = own.KeyId;
        attempt.HasOtherKey = own.HasOtherKey;
        attempt.Meter.UpstreamModel = own.Meter.UpstreamModel;
        foreach (var warning in copy.Warnings) call.Warn(warning.Code, warning.Message);
        if (failed is not null)
        {
            // What it reported until then is charged to it.
            if (own.Meter.Report is { } report) attempt.Meter.ReportUsage(report);
            attempt.Meter.ReportTier(own.Meter.ServiceTier);
            attempt.Meter.FailedReason = own.Meter.FailedReason;
            return failed;
        }

        // 3.
        return new GatewayReply.Streaming(new GenerationReader(call, share, attempt, observes: false));
    }

    private async ValueTask<GatewayCall> CopyAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var body = new PooledBuffer(call.Body.Length, call.Memory);
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
            body.Write(call.Body.WrittenSpan);
            if (call.OutputCap is { } cap) copy.CapOutput(cap);
            var bounds = configuration.Current.Requests;
            var error = copy.Dialect.Requests.Read(copy, bounds) ?? await copy.Dialect.Requests.ResolveAsync(copy, bounds, cancellationToken);
            if (error is not null) throw new GatewayErrorException(error);
            // A content policy may have changed what the request refers to.
            if (call.Policy is not null && call.Facts.Responses is { } known)
            {
                (copy.Facts.Responses!.History, copy.Facts.Responses.References) = (known.History, known.References);
            }
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

    private async Task RunAsync(FlightRun run, TaskCompletionSource<GatewayReply.AttemptFailed?> first)
    {
        using var stop = new CancellationTokenSource();
        _flight.Attach(stop);
        try
        {
            var failed = await PumpAsync(run, first, stop.Token);
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
            if (!first.Task.IsCompleted)
            {
                flights.RunFailed(_flight);
                if (!first.TrySetException(exception)) return;
                // Nobody may be left to see it.
                _ = first.Task.Exception;
                return;
            }
            var error = new GatewayError(ErrorCode.ProviderError, "The model's provider did not finish the response.");
            run.Attempt.Error ??= error;
            try
            {
                flights.Settle(_flight);
                using var batch = new EventBatch();
                batch.Add(new AttemptFailed(error));
                _flight.Log.Append(batch);
            }
            finally
            {
                flights.End(_flight);
            }
        }
        finally
        {
            run.Close();
        }
    }

    // 2. Returns the failure of an attempt that had no content.
    private async ValueTask<GatewayReply.AttemptFailed?> PumpAsync(FlightRun run,
        TaskCompletionSource<GatewayReply.AttemptFailed?> first, CancellationToken stopped)
    {
        var attempt = run.Attempt;
        var reply = await attempt.Deployment.Provider.SendAsync(run.Call, attempt, stopped);
        if (reply is GatewayReply.AttemptFailed failed) return failed;
        using var batch = new EventBatch();
        if (reply is GatewayReply.Complete complete)
        {
            ResponseEvents.Add(complete.Response, attempt.Meter.Report, batch);
            // It is in memory anyway, however large it is.
            _flight.Log.Append(batch, keepFrom: 0);
            Begin(first);
            return null;
        }
        if (reply is not GatewayReply.Streaming streaming) throw new InvalidOperationException($"A shared generation got {reply.GetType().Name}.");

        await using var events = streaming.Events;
        using var held = new EventBatch();
        var hasBegun = false;
        while (await events.ReadAsync(batch, stopped))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is not { } made) continue;
                if (made is AttemptFailed broken)
                {
                    attempt.Error = broken.Error;
                    if (hasBegun) flights.Settle(_flight);
                    else return new GatewayReply.AttemptFailed(broken.Error, Providers.Http.UpstreamErrors.ClassOf(broken.Error), attempt.UpstreamStatus);
                }
                run.Observe(made);
            }
            held.Append(batch);
            // What an attempt says before its content is void if it fails.
            if (!hasBegun && !held.HasContent) continue;
            await AppendAsync(held, stopped);
            held.Clear();
            if (!hasBegun) Begin(first);
            hasBegun = true;
        }
        if (hasBegun) return null;
        if (attempt.Meter.FinishReason is null)
        {
            return new GatewayReply.AttemptFailed(
                new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream without a response."), FailureClass.Retry,
                attempt.UpstreamStatus);
        }
        // A response without content.
        if (held.Items.Count > 0) await AppendAsync(held, stopped);
        Begin(first);
        return null;
    }

    /// <summary>If the log is full, the provider waits for its readers, as it does for the client of a call that shares nothing.</summary>
    private async ValueTask AppendAsync(EventBatch batch, CancellationToken stopped)
    {
        var log = _flight.Log;
        var (bytes, max) = (log.Bytes, log.CurrentMaxBytes);
        foreach (var item in batch.Items) bytes += item.Event is { } made ? EventLog.SizeOf(made) : item.Length;
        // A later call could not read the start any more.
        if (bytes > max / 2) flights.Close(_flight);
        var isFull = bytes > max;
        if (isFull) await flights.WaitForReadersAsync(_flight, stopped);
        log.Append(batch, keepFrom: isFull ? log.Count : 0);
    }

    private void Begin(TaskCompletionSource<GatewayReply.AttemptFailed?> first)
    {
        _flight.Begin(FlightStart.Streams);
        first.TrySetResult(null);
    }
}
