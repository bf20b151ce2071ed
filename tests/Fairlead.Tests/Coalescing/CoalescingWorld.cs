using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Coalescing;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Identity;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Scheduling.Quotas;
using Fairlead.Streaming;
using Fairlead.Tests.Catalogue;
using Fairlead.TokenCounting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Coalescing;

/// <summary>The stage with a provider whose requests end when the test says so. A text costs as many tokens as its JSON has bytes.</summary>
internal sealed class CoalescingWorld : IDisposable
{
    private static readonly Dialect Dialect = OpenAiEmbeddingsDialect.Create();

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly CoalescingMetrics _metrics;
    private readonly CoalescingStage _stage;
    private readonly Deployment _deployment;
    private readonly AttemptCharge _charge = new(new TokenCounter());
    private readonly List<HeldRequest> _requests = [];
    private readonly bool _hasDifferentModels;
    private int _calls;

    public CoalescingWorld(CoalescingConfig? config = null, int? maxInputs = null, bool hasDifferentModels = false)
    {
        var configuration = new FakeConfigurationSource(new GatewayConfiguration().With((config ?? new CoalescingConfig()) with { Embeddings = true }));
        _hasDifferentModels = hasDifferentModels;
        _metrics = new CoalescingMetrics(_services.GetRequiredService<IMeterFactory>());
        var batches = Batches = new EmbeddingBatches(configuration, Flights, new EmbeddingRequests(configuration, Flights, _charge, _metrics), Time);
        var identity = new RequestIdentity([new CallerIdentity(), new ModelIdentity(), new OutputIdentity()]);
        var takeovers = new EmbeddingTakeovers(Flights, _charge, Spool);
        _stage = new CoalescingStage(
            configuration, new EmbeddingKeys(identity), Flights, batches, takeovers, new EmbeddingPayments(_charge, takeovers),
            new GenerationSharing(identity, new GenerationFlights(new EventMemory(), _charge), configuration, _charge, Spool, _metrics), Spool, _metrics);
        _deployment = new Deployment
        {
            Name = "p/m",
            ProviderName = "p",
            UpstreamModel = "m",
            Provider = new HeldProvider(this, new ProviderKind("held", (_, _, _) => throw new NotSupportedException()) { MaxEmbeddingInputs = maxInputs }),
        };
    }

    public ProviderQuota Quota { get; } = new(TimeProvider.System);

    public FakeTimeProvider Time { get; } = new();

    public EmbeddingFlights Flights { get; } = new();

    public EmbeddingBatches Batches { get; }

    /// <summary>Requests that the provider received, in order.</summary>
    public IReadOnlyList<HeldRequest> Requests
    {
        get
        {
            lock (_requests) return [.. _requests];
        }
    }

    public HeldRequest[] Open => [.. Requests.Where(request => !request.HasEnded)];

    public RecordingSpool Spool { get; } = new();

    /// <summary>Retries of each call.</summary>
    public int Retries { get; set; }

    /// <summary>Refuses a call before its attempt, as a queue or a limit does.</summary>
    public Func<GatewayCall, GatewayError?> Refusal { get; set; } = _ => null;

    /// <summary>Holds a call before its attempt, as a queue does.</summary>
    public Func<GatewayCall, Task> Queue { get; set; } = _ => Task.CompletedTask;

    public SentCall Send(params string[] inputs) => Send(user: null, inputs);

    public SentCall Send(string? user, string[] inputs) => Send(user, CallClasses.Default, inputs);

    public SentCall Send(string? user, string callClass, string[] inputs)
    {
        var n = Interlocked.Increment(ref _calls);
        var body = new PooledBuffer();
        body.Write(Encoding.UTF8.GetBytes($$"""{"model":"m","input":{{JsonSerializer.Serialize(inputs)}}{{(user is null ? "" : $",\"user\":\"{user}\"")}}}"""));
        var caller = new Caller
        {
            OrganizationId = "org",
            OrganizationName = "o",
            ProjectId = "proj",
            ProjectName = "p",
            KeyId = "key",
            KeyName = "k",
            Scopes = [.. Scopes.Default],
        };
        var call = new GatewayCall($"req_{n}", $"gen_{n}", Dialect, caller, Time)
        {
            Body = body,
            Class = callClass,
            ProviderKey = 77,
            Model = new CatalogueModel { Id = "m", OwnedBy = "o", Deployments = [_deployment], HasDifferentModels = _hasDifferentModels },
        };
        Assert.Null(Dialect.Requests.Read(call, RequestBounds.Default));
        var leave = new CancellationTokenSource();
        return new SentCall(call, inputs, leave, _stage.InvokeAsync(call, RouteAsync, leave.Token).AsTask());
    }

    /// <summary>What the calls pay by measured usage.</summary>
    public long PaidBy(IEnumerable<SentCall> calls)
    {
        var tokens = 0L;
        foreach (var attempt in calls.SelectMany(sent => sent.Call.Attempts.Select(attempt => (sent.Call, attempt))))
        {
            _charge.Fix(attempt.Call, attempt.attempt);
            if (attempt.attempt.Usage.Basis == Basis.Measured) tokens += attempt.attempt.Usage.InputTokens;
        }
        return tokens;
    }

    public static long TokensOf(IEnumerable<string> texts) => texts.Sum(text => (long)JsonSerializer.Serialize(text).Length);

    public void Dispose()
    {
        _metrics.Dispose();
        _services.Dispose();
    }

    // As routing does with one deployment.
    private async ValueTask<GatewayReply> RouteAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        await Queue(call).WaitAsync(cancellationToken);
        if (Refusal(call) is { } refusal) return new GatewayReply.Refused(refusal);
        for (var retries = 0; ; retries++)
        {
            var reply = await TryAsync(call, cancellationToken);
            if (reply is not GatewayReply.Refused || retries == Retries) return reply;
        }
    }

    private async ValueTask<GatewayReply> TryAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var attempt = new Attempt(Attempt.IdOf(call, call.Attempts.Count + 1), call.Attempts.Count + 1, _deployment)
        {
            StartedAt = call.Timings.Now(),
            Quota = Quota,
        };
        call.Attempts.Add(attempt);
        await Spool.AttemptStartedAsync(call, attempt);
        switch (await call.Sender!.SendAsync(call, attempt, cancellationToken))
        {
            case GatewayReply.Embedded embedded:
                call.Answering = attempt;
                return new GatewayReply.Embedded(embedded.Response);
            case GatewayReply.AttemptFailed failed:
                attempt.Error = failed.Error;
                attempt.Outcome = "failed";
                return new GatewayReply.Refused(failed.Error);
            default:
                throw new InvalidOperationException();
        }
    }

    private sealed class HeldProvider(CoalescingWorld world, ProviderKind kind) : Provider("p", kind)
    {
        public override bool Speaks(Dialect dialect) => false;

        public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
        {
            var request = new HeldRequest([.. call.Embeddings.Inputs.Select(input => input.Text!)], call.Embeddings.EndUser);
            lock (world._requests) world._requests.Add(request);
            attempt.Sent = true;
            attempt.KeyId = call.ProviderKey;
            Assert.Same(world.Quota, attempt.Quota);
            var error = await request.Reply.WaitAsync(cancellationToken);
            attempt.HasOtherKey = request.HasOtherKey;
            attempt.UpstreamStatus = request.Status;
            if (error is not null)
            {
                var isRefusal = error.Code is ErrorCode.ProviderRejected;
                return new GatewayReply.AttemptFailed(error, isRefusal ? FailureClass.GiveBack : FailureClass.Failover, request.Status);
            }
            attempt.Meter.ReportUsage(UsageReport.Of(TokensOf(request.Inputs), 0));
            attempt.Meter.Finish(FinishReason.Stop, 0);
            return new GatewayReply.Embedded(new EmbeddingsResponse([.. request.Inputs.Select(text => (ReadOnlyMemory<float>)VectorOf(text))]));
        }
    }

    public static float[] VectorOf(string text) => [text.Length, text[0], text[^1]];
}

/// <summary>A spool that only notes what it is given.</summary>
internal sealed class RecordingSpool : ISpool
{
    private readonly ConcurrentQueue<(string Kind, string GenerationId, string AttemptId, long? Share)> _records = new();

    /// <summary>Starts and checkpoints, in order, with the share of the usage that the attempt would be charged.</summary>
    public IReadOnlyList<(string Kind, string GenerationId, string AttemptId, long? Share)> Records => [.. _records];

    public void Reserve(GatewayCall call)
    {
    }

    public ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt)
    {
        Add("start", call, attempt);
        return default;
    }

    public void AttemptProgressed(GatewayCall call, Attempt attempt) => Add("progress", call, attempt);

    public ValueTask CallEndedAsync(GatewayCall call, int status) => default;

    private void Add(string kind, GatewayCall call, Attempt attempt) =>
        _records.Enqueue((kind, call.GenerationId, attempt.Id, attempt.Share?.InputTokens));
}

/// <summary>A request at the provider.</summary>
internal sealed class HeldRequest(string[] inputs, string? user)
{
    private readonly TaskCompletionSource<GatewayError?> _reply = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string[] Inputs { get; } = inputs;

    public string? User { get; } = user;

    public bool HasEnded => _reply.Task.IsCompleted;

    public Task<GatewayError?> Reply => _reply.Task;

    public void Succeed() => _reply.TrySetResult(null);

    public bool HasOtherKey { get; set; }

    public int? Status { get; set; }

    public void Fail(ErrorCode code) => _reply.TrySetResult(new GatewayError(code, "no"));
}

/// <summary>A call and its reply.</summary>
internal sealed record SentCall(GatewayCall Call, string[] Inputs, CancellationTokenSource Leave, Task<GatewayReply> Reply)
{
    /// <summary>The vectors of its reply, which must be those of its inputs.</summary>
    public async Task AssertVectorsAsync()
    {
        var reply = await Reply.WaitAsync(TimeSpan.FromSeconds(60));
        float[][] vectors;
        switch (reply)
        {
            case GatewayReply.Embedded embedded:
                vectors = [.. embedded.Response.Vectors.Select(vector => vector.ToArray())];
                break;
            case GatewayReply.NativeBody native:
                using (native.Body)
                {
                    var json = JsonDocument.Parse(native.Body.WrittenMemory).RootElement;
                    var data = json.GetProperty("data").EnumerateArray().ToList();
                    Assert.Equal(Enumerable.Range(0, data.Count), data.Select(item => item.GetProperty("index").GetInt32()));
                    Assert.Equal(CoalescingWorld.TokensOf(Inputs.Distinct()), json.GetProperty("usage").GetProperty("prompt_tokens").GetInt64());
                    vectors = [.. data.Select(item => item.GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle()).ToArray())];
                }
                break;
            default:
                throw new InvalidOperationException($"{reply.GetType().Name}: {(reply as GatewayReply.Refused)?.Error.Message}");
        }
        Assert.Equal(Inputs.Select(CoalescingWorld.VectorOf), vectors);
    }
}
