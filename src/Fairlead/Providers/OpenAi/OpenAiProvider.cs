using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.OpenAi;

/// <summary>Every server that speaks OpenAI's chat, completions and embeddings interface. Thread-safe.</summary>
internal sealed class OpenAiProvider : Provider
{
    private readonly OpenAiEndpoint _endpoint;
    private readonly UpstreamClient _client;
    private readonly ApiKeyRing _keys;

    private readonly LearnedHabits _learned;

    /// <param name="name">Its name in the configuration.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="clients">Makes its HTTP client.</param>
    /// <param name="kinds">All kinds, for the vendors that they know; those that ship with Fairlead when null.</param>
    public OpenAiProvider(string name, ProviderConfig config, UpstreamClientFactory clients, ProviderKinds? kinds = null)
        : base(name, config.Kind)
    {
        _endpoint = new OpenAiEndpoint(config, kinds);
        _client = clients.Create(name, config);
        _keys = new ApiKeyRing(config, _endpoint.KeyPrefix);
        _learned = new LearnedHabits(_client.Time);
    }

    public override string TelemetryName => _endpoint.TelemetryName;

    public override Uri? Endpoint => _endpoint.Address;

    public override string? OpenAiTypeOf(GatewayCall call) =>
        !_endpoint.IsOpenAi || call.Operation != Operation.Chat ? null
        : SpeaksWith(call) && call.Dialect.Name == "openai.responses" ? "responses" : "chat_completions";

    public override bool Speaks(Dialect dialect) => dialect.Name switch
    {
        "openai.chat" or "openai.embeddings" => true,
        "openai.completions" => _endpoint.HasCompletions && !_learned.Knows(Completions),
        "openai.responses" => _endpoint.HasResponses && !_learned.Knows(Responses),
        "openai.responses.compact" => _endpoint.HasResponses && !_learned.Knows(Compaction),
        _ => false,
    };

    protected override bool HoldsToTheList => _endpoint.IsOpenAi;

    public override GatewayError? Refuse(GatewayCall call) => call.Operation == Operation.CountTokens
        ? new GatewayError(ErrorCode.ProviderError, "The model's provider has no interface to count tokens.")
        : null;

    public override async ValueTask<ProviderReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        if (Refuse(call) is { } refusal) return new ProviderReply.Failed(refusal, FailureClass.Failover);
        var native = SpeaksWith(call);
        var mode = call.Facts.Stream && call.Operation == Operation.Chat ? UpstreamMode.Stream : UpstreamMode.Whole;
        var exchange = await SendAdaptedAsync(call, attempt, native, mode, cancellationToken);
        PooledBuffer? body = null;
        ProviderReply.Failed? broken = null;
        if (exchange.Failure is null && mode == UpstreamMode.Whole) (body, broken) = await ReadAsync(exchange);
        var path = PathOf(call, native);
        if (native && MayBeMissing(path) && (exchange.IsMissingPath || (body is not null && UpstreamExchange.NamesMissingPath(body.WrittenSpan))))
        {
            // The server has no such interface, which every server of this kind may lack: the same request goes to the one that all have.
            body?.Dispose();
            exchange.Dispose();
            native = false;
            (body, broken) = (null, null);
            exchange = await SendAdaptedAsync(call, attempt, native, mode, cancellationToken);
            if (exchange.Failure is null && mode == UpstreamMode.Whole) (body, broken) = await ReadAsync(exchange);
            // An unknown model has the same status, but there too.
            if (attempt.Sent && !exchange.IsMissingPath) _learned.Learn(path);
        }
        if ((exchange.Failure ?? broken) is { } failure)
        {
            exchange.Dispose();
            return failure;
        }
        if (body is null)
        {
            return new ProviderReply.Streaming(native
                ? new NativeEventSource(exchange, this, call, call.Facts.ExpectedChoices)
                : new OpenAiChatEventSource(exchange, call.Conversation.ChoiceCount, call.Conversation.Sampling.Stop));
        }
        using var read = exchange;
        if (call.Operation == Operation.Chat && (DocumentText.IsEventStream(body.WrittenSpan) || DocumentText.HoldsSeveral(body.WrittenMemory)))
        {
            using (body) return await GatherAsync(call, attempt, exchange, body, native, cancellationToken);
        }
        if (native) return ReadNative(call, attempt, exchange, body);
        using (body)
        {
            return OpenAiChatAnswerReader.Read(body.WrittenMemory, attempt.Meter, call.Conversation.Sampling.Stop) is { } answer
                ? new ProviderReply.Complete(exchange.Tools?.Restore(answer) ?? answer)
                : exchange.Unreadable(body);
        }
    }

    // The fields that the server was found not to take are left out or said in other words; what it refuses for the first time is learned.
    private async ValueTask<UpstreamExchange> SendAdaptedAsync(GatewayCall call, Attempt attempt, bool native, UpstreamMode mode, CancellationToken cancellationToken)
    {
        var facts = call.Facts;
        var model = attempt.Deployment.UpstreamModel;
        var asksForUsage = mode == UpstreamMode.Stream && PathOf(call, native) != Responses;
        facts.OmitsStreamOptions = asksForUsage && _learned.Knows(StreamOptions, model);
        facts.HoldsToKnownFields = _endpoint.IsOpenAi;
        facts.UsesOlderNames = _endpoint.TakesOlderNames != _learned.Knows(OtherNames, model);
        var exchange = await SendBodyAsync(call, attempt, native, mode, cancellationToken);
        if (exchange.RefusedStreamOptions && asksForUsage && !facts.OmitsStreamOptions)
        {
            // Asked for by us, so not a fault of the request: once more without, and usage is estimated.
            facts.OmitsStreamOptions = true;
            exchange = await SendBodyAsync(call, attempt, native, mode, cancellationToken);
            if (exchange.Failure is null) _learned.Learn(StreamOptions, model);
        }
        if (exchange.RefusedNames && (facts.MaxOutputTokens is not null || facts.DeveloperRoles is not null || !native))
        {
            // Another server behind the same interface: OpenAI's behind a proxy, or one that knows only the older names.
            facts.UsesOlderNames = !facts.UsesOlderNames;
            exchange = await SendBodyAsync(call, attempt, native, mode, cancellationToken);
            if (exchange.Failure is null)
            {
                if (_learned.Knows(OtherNames, model)) _learned.Forget(OtherNames, model);
                else _learned.Learn(OtherNames, model);
            }
        }
        return exchange;
    }

    private async ValueTask<UpstreamExchange> SendBodyAsync(GatewayCall call, Attempt attempt, bool native, UpstreamMode mode, CancellationToken cancellationToken)
    {
        var model = attempt.Deployment.UpstreamModel;
        using var body = new PooledBuffer(native ? call.Body.Length + 512 : 4096, call.Memory, uncounted: MemoryBudget.SmallBytes) { Expected = (call.Body?.Length ?? 0) + 4096 };
        ToolAdapter? tools = null;
        try
        {
            if (!native && RefuseForeignWord(call, native) is { } foreign) throw new GatewayErrorException(foreign);
            if (native) call.Dialect.WriteUpstreamBody(call, model, body);
            else new OpenAiChatRequestWriter((tools = ToolAdapter.For(call.Conversation, LongestToolName, _endpoint.IsOpenAi))?.Request ?? call.Conversation, call.Model, _endpoint, call.Warn, Family(call.Dialect), call.Facts.UsesOlderNames).Write(model, mode == UpstreamMode.Stream, body, askForUsage: !call.Facts.OmitsStreamOptions);
        }
        catch (GatewayErrorException refused)
        {
            // Another deployment may have a form for what this one cannot be told.
            attempt.Sent = false;
            return new UpstreamExchange(new ProviderReply.Failed(refused.Error, FailureClass.Failover));
        }
        var request = _client.CreatePost(_endpoint.AddressOf(PathOf(call, native), model), body.WrittenMemory, call, mode);
        if (_keys.Next() is { } key) request.Headers.TryAddWithoutValidation(_endpoint.KeyHeader, key);
        var exchange = await _client.SendAsync(request, attempt, mode, sameDialect: native, cancellationToken);
        exchange.Tools = tools;
        return exchange;
    }

    private static ValueTask<(PooledBuffer? Body, ProviderReply.Failed? Failure)> ReadAsync(UpstreamExchange exchange) => exchange.ReadWholeAsync();

    private const string StreamOptions = "stream_options";

    private const string OtherNames = "the other names";

    /// <summary>OpenAI's own limit, which the other servers copied.</summary>
    private const int LongestToolName = 64;

    private const string Chat = "/chat/completions";

    private const string Completions = "/completions";

    private const string Responses = "/responses";

    private const string Compaction = "/responses/compact";

    private static string PathOf(GatewayCall call, bool native) => call.Operation == Operation.Embeddings ? "/embeddings" : !native ? Chat : call.Dialect.Name switch
    {
        "openai.completions" => Completions,
        "openai.responses" => Responses,
        "openai.responses.compact" => Compaction,
        _ => Chat,
    };

    // OpenAI's own servers have all of them: there the status is about the model.
    private bool MayBeMissing(string path) => path is Completions or Responses or Compaction && (_endpoint.IsAzure || !_endpoint.IsOpenAi);

    internal override Conversation.Answer? ReadDocument(GatewayCall call, ReadOnlyMemory<byte> body, AnswerMeter meter) => OpenAiChatAnswerReader.Read(body, meter, []);

    // Events although a whole response was asked for.
    private static async ValueTask<ProviderReply> GatherAsync(GatewayCall call, Attempt attempt, UpstreamExchange exchange, PooledBuffer body, bool native, CancellationToken cancellationToken)
    {
        if (native && call.Dialect.WholeOf(body.WrittenSpan) is { } whole)
        {
            var response = new PooledBuffer(whole.Length);
            response.Write(whole);
            return ReadNative(call, attempt, exchange, response);
        }
        exchange.Replay(body.WrittenSpan);
        await using var events = new OpenAiChatEventSource(exchange, call.Facts.ExpectedChoices, []);
        return await EventGatherer.GatherAsync(events, attempt, cancellationToken);
    }

    private static ProviderReply ReadNative(GatewayCall call, Attempt attempt, UpstreamExchange exchange, PooledBuffer body)
    {
        var vectors = call.Facts.MessageCount;
        var repaired = call.Dialect.Name switch
        {
            "openai.chat" => ChatNormaliser.RepairWhole(body.WrittenSpan, isChat: true, attempt.Meter.CreatedAt),
            "openai.completions" => ChatNormaliser.RepairWhole(body.WrittenSpan, isChat: false, attempt.Meter.CreatedAt),
            "openai.embeddings" => EmbeddingsNormaliser.Repair(body.WrittenSpan, call.Facts.MessageCount, out vectors),
            _ => null,
        };
        if (repaired is not null) UpstreamExchange.Replace(ref body, repaired);
        if (vectors != call.Facts.MessageCount)
        {
            // Nobody could tell which text is without its vector.
            using (body) return exchange.Unreadable(body);
        }
        if (call.Dialect.ScanAnswer(body.WrittenSpan, attempt.Meter))
        {
            OutputText.KeepUncounted(body.WrittenSpan, attempt.Meter);
            return new ProviderReply.NativeBody(body);
        }
        using (body) return exchange.Unreadable(body);
    }

    private static bool Family(Dialect dialect) => dialect.Name.StartsWith("openai.", StringComparison.Ordinal);
}
