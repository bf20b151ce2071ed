using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.OpenAi;

/// <summary>Every server with OpenAI's chat, completions and embeddings API. Thread-safe.</summary>
internal sealed class OpenAiProvider : Provider
{
    /// <summary>A thousand results have less.</summary>
    private const int MaxModerationBytes = 4 * 1024 * 1024;

    private readonly OpenAiEndpoint _endpoint;
    private readonly UpstreamClient _client;
    private readonly ApiKeyRing _keys;

    private readonly ServerLimitations _limitations;
    private readonly bool _continuesTurn;

    /// <param name="name">Its name in the configuration.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="clients">Creates its HTTP client.</param>
    /// <param name="kinds">All kinds, for the vendors that they know; those that ship with Fairlead when null.</param>
    public OpenAiProvider(string name, ProviderConfig config, UpstreamClientFactory clients, ProviderKinds? kinds = null)
        : base(name, config.Kind)
    {
        _endpoint = new OpenAiEndpoint(config, kinds);
        _client = clients.Create(name, config);
        _keys = new ApiKeyRing(name, config, _client, _endpoint.KeyPrefix);
        _limitations = new ServerLimitations(_client.Time);
        _continuesTurn = config.ContinuesTurn ?? false;
    }

    public override string TelemetryName => _endpoint.TelemetryName;

    public override int[] KeyIds => _keys.Ids;

    public override int[] UsableKeyIds => _keys.UsableIds;

    public override Uri? Endpoint => _endpoint.Address;

    public override string? OpenAiTypeOf(GatewayCall call) =>
        !_endpoint.IsOpenAi || call.Operation != Operation.Chat ? null
        : PathOf(call, WireOf(call)) == ResponsesWire.Path ? "responses" : "chat_completions";

    public override ValueTask<PathResponse> RequestPathAsync(string path, TimeSpan timeout, CancellationToken cancellationToken) =>
        PathRequest.SendAsync(_client, new Uri(_endpoint.Address, path), _keys, _endpoint.KeyHeader, timeout, cancellationToken);

    public override async ValueTask<GatewayReply?> ModerateAsync(
        GatewayCall call, Attempt attempt, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var request = _client.CreatePost(_endpoint.Moderations, body, call, UpstreamMode.Whole);
        _keys.AddTo(request, _endpoint.KeyHeader, call, attempt);
        using var exchange = await _client.SendAsync(request, attempt, UpstreamMode.Whole, sameDialect: false, cancellationToken);
        if (exchange.Failure is { } failure) return failure;
        var (read, broken) = await exchange.ReadWholeAsync(MaxModerationBytes);
        return read is null ? broken : new GatewayReply.NativeBody(read);
    }

    public override bool Speaks(Dialect dialect) =>
        dialect.Native is { Family: ApiFamily.OpenAi, UpstreamPath: var path } && _endpoint.HasPath(path) && !_limitations.Has(path);

    public override bool ContinuesAssistantTurn => _continuesTurn;

    protected override bool HoldsToTheList => _endpoint.IsOpenAi;

    protected override bool ShortensToolNames => true;

    public override GatewayError? Refuse(GatewayCall call) => call.Operation == Operation.CountTokens
        ? new GatewayError(ErrorCode.ProviderError, "The model's provider has no API to count tokens.")
        : null;

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        if (Refuse(call) is { } refusal) return new GatewayReply.AttemptFailed(refusal, FailureClass.Failover);
        var wire = WireOf(call);
        var mode = call.Streams && call.Operation == Operation.Chat ? UpstreamMode.Stream : UpstreamMode.Whole;
        var exchange = await SendAdaptedAsync(call, attempt, wire, mode, cancellationToken);
        PooledBuffer? body = null;
        GatewayReply.AttemptFailed? broken = null;
        if (exchange.Failure is null && mode == UpstreamMode.Whole) (body, broken) = await ReadAsync(exchange);
        var path = PathOf(call, wire);
        if (wire is not null && _endpoint.MayLack(path)
            && (exchange.IsMissingPath || (body is not null && UpstreamExchange.NamesMissingPath(body.WrittenSpan))))
        {
            // The server lacks this endpoint, as any server of this kind may: the same request goes to the endpoint that all have.
            body?.Dispose();
            exchange.Dispose();
            wire = null;
            (body, broken) = (null, null);
            exchange = await SendAdaptedAsync(call, attempt, wire, mode, cancellationToken);
            if (exchange.Failure is null && mode == UpstreamMode.Whole) (body, broken) = await ReadAsync(exchange);
            // An unknown model has the same status, but at that endpoint too.
            if (attempt.Sent && !exchange.IsMissingPath) _limitations.Add(path);
        }
        if ((exchange.Failure ?? broken) is { } failure)
        {
            exchange.Dispose();
            return failure;
        }
        if (body is null)
        {
            return new GatewayReply.Streaming(wire?.Streams is { } streams
                ? new NativeEventSource(exchange, this, call, streams, call.Facts.ExpectedChoices)
                : new OpenAiChatEventSource(exchange, call.Conversation.ChoiceCount, call.Conversation.Sampling.Stop));
        }
        using var read = exchange;
        if (call.Operation == Operation.Chat
            && (DocumentText.IsEventStream(body.WrittenSpan) || DocumentText.HoldsSeveral(body.WrittenMemory)))
        {
            using (body) return await CollectAsync(call, attempt, exchange, body, wire, cancellationToken);
        }
        if (wire is not null) return ReadNative(call, attempt, exchange, body, wire);
        using (body)
        {
            return OpenAiChatResponseReader.Read(body.WrittenMemory, attempt.Meter, call.Conversation.Sampling.Stop) is { } answer
                ? new GatewayReply.Complete(exchange.Tools?.Restore(answer) ?? answer)
                : exchange.Unreadable(body);
        }
    }

    // Fields that the server is known to reject are left out or renamed; a first rejection is recorded.
    private async ValueTask<UpstreamExchange> SendAdaptedAsync(
        GatewayCall call, Attempt attempt, NativeWire? wire, UpstreamMode mode, CancellationToken cancellationToken)
    {
        var model = attempt.Deployment.UpstreamModel;
        var asksForUsage = mode == UpstreamMode.Stream && wire is not { UsesStreamOptions: false };
        var options = new NativeBodyOptions(
            OmitsStreamOptions: asksForUsage && _limitations.Has(StreamOptions, model),
            UsesOlderNames: _endpoint.TakesOlderNames != _limitations.Has(OtherNames, model),
            HoldsToKnownFields: _endpoint.IsOpenAi);
        var exchange = await SendBodyAsync(call, attempt, wire, mode, options, cancellationToken);
        if (exchange.RefusedStreamOptions && asksForUsage && !options.OmitsStreamOptions)
        {
            // The gateway added the field, so the request is valid: send it again without, and estimate the usage.
            options = options with { OmitsStreamOptions = true };
            exchange = await SendBodyAsync(call, attempt, wire, mode, options, cancellationToken);
            if (exchange.Failure is null) _limitations.Add(StreamOptions, model);
        }
        if (exchange.RefusedNames && (call.MaxOutputTokens is not null || call.Facts.DeveloperRoles is not null || wire is null))
        {
            // Another server with the same API: OpenAI's behind a proxy, or one that supports only the older names.
            options = options with { UsesOlderNames = !options.UsesOlderNames };
            exchange = await SendBodyAsync(call, attempt, wire, mode, options, cancellationToken);
            if (exchange.Failure is null)
            {
                if (_limitations.Has(OtherNames, model)) _limitations.Forget(OtherNames, model);
                else _limitations.Add(OtherNames, model);
            }
        }
        return exchange;
    }

    private async ValueTask<UpstreamExchange> SendBodyAsync(
        GatewayCall call, Attempt attempt, NativeWire? wire, UpstreamMode mode, NativeBodyOptions options,
        CancellationToken cancellationToken)
    {
        var model = attempt.Deployment.UpstreamModel;
        using var body = new PooledBuffer(wire is null ? 4096 : call.Body.Length + 512, call.Memory, uncounted: MemoryBudget.SmallBytes)
        {
            Expected = (call.Body?.Length ?? 0) + 4096,
        };
        ToolAdapter? tools = null;
        try
        {
            if (wire is null && RefuseUnknownValue(call, isNative: false) is { } foreign) throw new GatewayErrorException(foreign);
            if (wire is not null)
            {
                wire.WriteBody(call, model, options, body);
            }
            else
            {
                tools = ToolAdapter.For(call.Conversation, MaxToolNameLength, _endpoint.IsOpenAi);
                var sameFamily = call.Dialect.Native is { Family: ApiFamily.OpenAi };
                var conversation = tools?.Request ?? call.Conversation;
                new OpenAiChatRequestWriter(conversation, call.Model, _endpoint, call.Warn, sameFamily, options.UsesOlderNames)
                    { ContinuesTurn = call.Rescue is { IsPrefill: true } }
                    .Write(model, mode == UpstreamMode.Stream, body, askForUsage: !options.OmitsStreamOptions);
            }
        }
        catch (GatewayErrorException refused)
        {
            // Another deployment may support what this one does not.
            attempt.Sent = false;
            return new UpstreamExchange(new GatewayReply.AttemptFailed(refused.Error, FailureClass.Failover));
        }
        var shortened = wire is not null && _endpoint.IsOpenAi && call.Facts.LongToolName is not null
            ? NativeToolNames.Shorten(body.WrittenSpan, MaxToolNameLength)
            : null;
        var request = _client.CreatePost(_endpoint.AddressOf(PathOf(call, wire), model), shortened?.Body ?? body.WrittenMemory, call, mode);
        _keys.AddTo(request, _endpoint.KeyHeader, call, attempt);
        var exchange = await _client.SendAsync(request, attempt, mode, sameDialect: wire is not null, cancellationToken);
        exchange.Tools = tools;
        exchange.Names = shortened?.Names;
        return exchange;
    }

    private static ValueTask<(PooledBuffer? Body, GatewayReply.AttemptFailed? Failure)> ReadAsync(UpstreamExchange exchange) =>
        exchange.ReadWholeAsync();

    private const string StreamOptions = "stream_options";

    private const string OtherNames = "the other names";

    /// <summary>OpenAI's own limit, which other servers copied.</summary>
    private const int MaxToolNameLength = 64;

    // A translated call goes to the endpoint that every such server has.
    private static string PathOf(GatewayCall call, NativeWire? wire) =>
        wire?.UpstreamPath ?? (call.Operation == Operation.Embeddings ? EmbeddingsWire.Path : ChatWire.Path);

    internal override Conversation.ModelResponse? ReadDocument(GatewayCall call, ReadOnlyMemory<byte> body, OutputMeter meter) =>
        OpenAiChatResponseReader.Read(body, meter, []);

    // Events although a whole response was requested.
    private static async ValueTask<GatewayReply> CollectAsync(
        GatewayCall call, Attempt attempt, UpstreamExchange exchange, PooledBuffer body, NativeWire? wire,
        CancellationToken cancellationToken)
    {
        if (wire?.Streams?.WholeOf(body.WrittenSpan) is { } whole)
        {
            var response = new PooledBuffer(whole.Length);
            response.Write(whole);
            return ReadNative(call, attempt, exchange, response, wire);
        }
        exchange.Replay(exchange.Names is { } names ? names.Restore(body.WrittenSpan) : body.WrittenSpan);
        await using var events = new OpenAiChatEventSource(exchange, call.Facts.ExpectedChoices, []);
        return await EventCollector.CollectAsync(events, attempt, cancellationToken);
    }

    private static GatewayReply ReadNative(
        GatewayCall call, Attempt attempt, UpstreamExchange exchange, PooledBuffer body, NativeWire wire)
    {
        if (exchange.Names is { } names) UpstreamExchange.Replace(ref body, names.Restore(body.WrittenSpan).ToArray());
        var isValid = wire.TryScan(call.Facts, body.WrittenSpan, attempt.Meter, out var repaired);
        if (repaired is not null) UpstreamExchange.Replace(ref body, repaired);
        if (isValid)
        {
            OutputText.KeepUncounted(body.WrittenSpan, attempt.Meter);
            return new GatewayReply.NativeBody(body);
        }
        using (body) return exchange.Unreadable(body);
    }
}
