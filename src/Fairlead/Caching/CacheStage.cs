using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

/// <summary>
/// Answers a request with the response of an identical earlier one: 1. decide what the call may do with the cache, 2. look for a response
/// that is fresh, 3. otherwise run the following stages and record their response. A hit makes no attempt and costs nothing.
/// </summary>
internal sealed class CacheStage(IConfigurationSource configuration, CacheKeys keys, OutputCache cache, CacheMetrics metrics, ISpool spool,
    TimeProvider time, ILogger<CacheStage> logger) : IGatewayStage
{
    /// <summary>No response takes more than this part of the cache.</summary>
    private const int MaxPart = 16;

    private const long MaxOutputBytes = 4 * 1024 * 1024;

    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        var config = configuration.Current.Cache;
        // A repair is another attempt of a call that has passed here.
        if ((!config.Enabled && call.CacheControl is null) || call.IsRepair || call.Operation == Operation.CountTokens)
            return next(call, cancellationToken);

        // 1.
        var directives = CacheDirectives.Parse(call.CacheControl);
        var mode = config.Enabled ? ModeOf(call) : CacheMode.Off;
        if (directives.NoStore) mode = CacheMode.Off;
        if (mode == CacheMode.Off || keys.Of(call) is not { } key)
        {
            if (config.Enabled)
            {
                call.Cache = CacheUse.Bypass;
                metrics.Used(CacheStatus.Bypass);
            }
            return directives.OnlyIfCached ? new(NotCached()) : next(call, cancellationToken);
        }
        return UseAsync(call, key, mode, directives, config, next, cancellationToken);
    }

    /// <summary>
    /// The mode of the request, else that of the key or project. A response that was drawn by chance is one of many, so only the request
    /// itself can say that any of them will do.
    /// </summary>
    private static CacheMode ModeOf(GatewayCall call)
    {
        if (call.ForbidsCache) return CacheMode.Off;
        if (call.Facts.Extension.Cache?.Mode is { } own) return own;
        return call.Operation == Operation.Embeddings || call.Facts.IsDeterministic ? call.Caller.Cache ?? CacheMode.Off : CacheMode.Off;
    }

    private async ValueTask<GatewayReply> UseAsync(GatewayCall call, string key, CacheMode mode, CacheDirectives directives, CacheConfig config,
        GatewayStep next, CancellationToken cancellationToken)
    {
        // 2.
        if (mode.Reads() && !directives.NoCache && await cache.FindAsync(key, cancellationToken) is { } found)
        {
            var age = time.GetUtcNow() - found.StoredAt;
            if (age < TimeSpan.Zero) age = TimeSpan.Zero;
            var isFresh = time.GetUtcNow() < found.ExpiresAt && !(age > directives.MaxAge);
            if (isFresh && DeploymentOf(call, found) is { } deployment) return Serve(call, found, deployment, age, config);
        }
        if (directives.OnlyIfCached)
        {
            call.Cache = new CacheUse { Status = CacheStatus.Miss };
            metrics.Used(CacheStatus.Miss);
            return NotCached();
        }

        // 3.
        OutputRecorder? recorder = null;
        // A text that is kept is in the canonical form.
        if (mode.Writes() && (call.Operation == Operation.Embeddings || LosslessTranslation.TryPrepare(call)))
        {
            var ttl = call.Facts.Extension.Cache?.Ttl is { } wanted && wanted < config.Ttl ? wanted : config.Ttl;
            var maxBytes = Math.Min(MaxOutputBytes, config.MaxBytes / MaxPart);
            recorder = new OutputRecorder(cache, keys, key, ttl, config.Pacing, maxBytes, call, logger);
        }
        // A call that cannot be kept, and gets none, does not use the cache.
        var status = recorder is null && !mode.Reads() ? CacheStatus.Bypass : CacheStatus.Miss;
        call.Cache = new CacheUse { Status = status, Recorder = recorder };
        metrics.Used(status);
        var reply = await next(call, cancellationToken);
        return recorder is null ? reply : recorder.Record(reply);
    }

    private GatewayReply Serve(GatewayCall call, CachedOutput found, Deployment deployment, TimeSpan age, CacheConfig config)
    {
        try
        {
            // A call without an attempt needs room for its record.
            spool.Reserve(call);
        }
        catch (SpoolUnavailableException exception)
        {
            return new GatewayReply.Refused(exception.Error);
        }
        call.Answering = new Attempt("", 0, deployment)
        {
            StartedAt = call.Timings.Now(),
            // What the delivery notes there concerns this call only.
            Meter = found.Meter.Copy(),
            Outcome = Outcome.Complete.ToWire(),
            Usage = found.Usage,
        };
        call.Cache = new CacheUse { Status = CacheStatus.Hit, Age = age };
        metrics.Used(CacheStatus.Hit);
        foreach (var warning in found.Warnings) call.Warn(warning.Code, warning.Message);
        if (call.Dialect.Streams is { CommitsAtAcceptance: true }) call.Accept();
        if (found.Embeddings is { } embeddings) return new GatewayReply.NativeBody(PooledBuffer.Of(embeddings, call.Memory, neverRefused: true));
        return call.Streams
            ? new GatewayReply.Streaming(new CachedEvents(found, config.Pacing, time))
            : new GatewayReply.Complete(found.ToResponse());
    }

    private static Deployment? DeploymentOf(GatewayCall call, CachedOutput found)
    {
        foreach (var deployment in call.Model.Deployments)
        {
            if (deployment.Name == found.Deployment) return deployment;
        }
        return null;
    }

    private static GatewayReply.Refused NotCached() => new(new GatewayError(ErrorCode.NotCached,
        "The request asks for a response of the cache only (Cache-Control: only-if-cached), and there is none."));
}
