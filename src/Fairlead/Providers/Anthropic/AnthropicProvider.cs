using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Anthropic;

/// <summary>Anthropic's API, or a server that implements it. Calls of its own dialect are forwarded, others are translated.</summary>
internal sealed class AnthropicProvider : Provider
{
    private const int MaxToolNameLength = 128;

    private const string ApiPath = "/v1";

    private readonly UpstreamClient _client;
    private readonly ApiKeyRing _keys;
    private readonly Uri _messages;
    private readonly Uri _counting;
    private readonly bool? _continuesTurn;

    /// <exception cref="ArgumentException">The base URL is not an absolute http or https address.</exception>
    public AnthropicProvider(string name, ProviderConfig config, UpstreamClient client)
        : base(name, AnthropicProviderKind.Instance)
    {
        _client = client;
        _keys = new ApiKeyRing(name, config, _client);
        _continuesTurn = config.ContinuesTurn;
        // Clients differ in whether the base URL contains the version; both forms are accepted.
        var baseUrl = (config.BaseUrl ?? AnthropicProviderKind.DefaultBaseUrl).TrimEnd('/');
        if (baseUrl.EndsWith(ApiPath, StringComparison.Ordinal)) baseUrl = baseUrl[..^ApiPath.Length];
        _messages = UpstreamClientFactory.Address(baseUrl, ApiPath + MessagesWire.Path);
        _counting = UpstreamClientFactory.Address(baseUrl, ApiPath + CountTokensWire.Path);
    }

    public override int[] KeyIds => _keys.Ids;

    public override int[] UsableKeyIds => _keys.UsableIds;

    public override Uri? Endpoint => _messages;

    public override ValueTask<PathResponse> RequestPathAsync(string path, TimeSpan timeout, CancellationToken cancellationToken) =>
        PathRequest.SendAsync(_client, new Uri(_messages, path), _keys, AnthropicProviderKind.KeyHeader, timeout, cancellationToken);

    public override bool ContinuesAssistantTurn => _continuesTurn ?? HoldsToTheList;

    public override bool Speaks(Dialect dialect) => dialect.Native is { Family: ApiFamily.Anthropic };

    protected override bool HoldsToTheList => AnthropicProviderKind.Vendor.Owns(_messages.Host);

    public override GatewayError? Refuse(GatewayCall call) => call.Operation == Operation.Embeddings
        ? GatewayError.Unsupported("model", "The provider of this model does not support embeddings.")
        : null;

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        var wire = WireOf(call);
        var isCount = call.Operation == Operation.CountTokens;
        var mode = call.Streams && !isCount ? UpstreamMode.Stream : UpstreamMode.Whole;
        using var body = new PooledBuffer(call.Body is { Length: > 0 and var length } ? length + 256
            : 4096, call.Memory, uncounted: MemoryBudget.SmallBytes);
        string version;
        ToolAdapter? tools;
        try
        {
            tools = wire is not null ? null : ToolAdapter.For(call.Conversation, MaxToolNameLength, takesCustom: false);
            version = WriteBody(call, attempt, wire, tools?.Request, body);
        }
        catch (GatewayErrorException refusal)
        {
            // Nothing was sent. Another deployment of the model may support what this provider does not.
            return new GatewayReply.AttemptFailed(refusal.Error, FailureClass.Failover);
        }

        var request = _client.CreatePost(isCount ? _counting : _messages, body.WrittenMemory, call, mode);
        _keys.AddTo(request, AnthropicProviderKind.KeyHeader, call, attempt);
        request.Headers.TryAddWithoutValidation(AnthropicVersions.Header, version);
        if (wire is not null && !string.IsNullOrEmpty(call.AnthropicBeta))
        {
            request.Headers.TryAddWithoutValidation("anthropic-beta", call.AnthropicBeta);
        }

        var exchange = await _client.SendAsync(request, attempt, mode, sameDialect: wire is not null, cancellationToken);
        exchange.Tools = tools;
        if (exchange.Failure is { } failure) return failure;
        if (mode == UpstreamMode.Stream)
        {
            return new GatewayReply.Streaming(wire?.Streams is { } streams
                ? new NativeEventSource(exchange, this, call, streams, expectedChoices: 1)
                : new AnthropicEventSource(call, exchange));
        }
        using (exchange) return await ReadAsync(call, exchange, wire, cancellationToken);
    }

    internal override Conversation.ModelResponse? ReadDocument(GatewayCall call, ReadOnlyMemory<byte> body, OutputMeter meter) =>
        AnthropicResponseReader.Read(body, call, meter);

    // Returns the version that the body needs.
    private static string WriteBody(GatewayCall call, Attempt attempt, NativeWire? wire, Conversation.ConversationRequest? adapted,
        PooledBuffer body)
    {
        if (wire is null) return AnthropicTranslator.Write(call, adapted ?? call.Conversation, attempt.Deployment.UpstreamModel, body);
        wire.WriteBody(call, attempt.Deployment.UpstreamModel, default, body);
        return AnthropicVersions.Of(call.AnthropicVersion);
    }

    private static async ValueTask<GatewayReply> ReadAsync(GatewayCall call, UpstreamExchange exchange, NativeWire? wire,
        CancellationToken cancellationToken)
    {
        var (body, failure) = await exchange.ReadWholeAsync();
        if (body is null) return failure!;
        var kept = false;
        try
        {
            var meter = exchange.Attempt.Meter;
            if (call.Operation == Operation.CountTokens)
            {
                return CountTokensWire.ReadCount(body.WrittenSpan) is { } count
                    ? new GatewayReply.Counted(count)
                    : exchange.Unreadable(body);
            }
            if (DocumentText.IsEventStream(body.WrittenSpan) || DocumentText.HoldsSeveral(body.WrittenMemory))
            {
                // Events although a whole response was requested.
                exchange.Replay(body.WrittenSpan);
                await using var events = new AnthropicEventSource(call, exchange);
                return await EventCollector.CollectAsync(events, exchange.Attempt, cancellationToken);
            }
            if (wire is null)
            {
                return AnthropicResponseReader.Read(body.WrittenMemory, call, meter) is { } answer
                    ? new GatewayReply.Complete(exchange.Tools?.Restore(answer) ?? answer)
                    : exchange.Unreadable(body);
            }
            if (!wire.TryScan(call.Facts, body.WrittenSpan, meter, out var repaired)) return exchange.Unreadable(body);
            if (repaired is not null) UpstreamExchange.Replace(ref body, repaired);
            kept = true;
            return new GatewayReply.NativeBody(body);
        }
        finally
        {
            if (!kept) body.Dispose();
        }
    }
}
