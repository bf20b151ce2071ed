using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;

namespace Fairlead.Providers.Gemini;

/// <summary>Google's Gemini API in its native form (v1beta). No client dialect uses it, so every call is translated.</summary>
internal sealed class GeminiProvider : Provider
{
    private const int MaxToolNameLength = 64;

    private const string ApiVersion = "/v1beta";

    private readonly UpstreamClient _client;
    private readonly ApiKeyRing _keys;
    private readonly string _baseUrl;

    public GeminiProvider(string name, ProviderConfig config, UpstreamClient client)
        : base(name, GeminiProviderKind.Instance)
    {
        _client = client;
        _keys = new ApiKeyRing(name, config, _client);
        var baseUrl = (config.BaseUrl ?? GeminiProviderKind.DefaultBaseUrl).TrimEnd('/');
        _baseUrl = baseUrl.EndsWith(ApiVersion, StringComparison.Ordinal) ? baseUrl[..^ApiVersion.Length] : baseUrl;
        // An invalid address is a configuration error, reported when the configuration is read and not by the first call.
        Endpoint = UpstreamClientFactory.Address(_baseUrl, ApiVersion);
    }

    public override int[] KeyIds => _keys.Ids;

    public override int[] UsableKeyIds => _keys.UsableIds;

    public override Uri? Endpoint { get; }

    public override ValueTask<PathResponse> RequestPathAsync(string path, TimeSpan timeout, CancellationToken cancellationToken) =>
        PathRequest.SendAsync(_client, new Uri(Endpoint!, path), _keys, GeminiProviderKind.KeyHeader, timeout, cancellationToken);

    public override bool Speaks(Dialect dialect) => false;

    protected override bool HoldsToTheList => false;

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        var model = GeminiModel.Parse(attempt.Deployment.UpstreamModel);
        using var body = new PooledBuffer(4096, call.Memory, uncounted: MemoryBudget.SmallBytes) { Expected = (call.Body?.Length ?? 0)
            + 4096 };
        ToolAdapter? tools = null;
        try
        {
            switch (call.Operation)
            {
                case Operation.Embeddings: GeminiEmbeddings.Write(call.Embeddings, model, call.Warn, body); break;
                case Operation.CountTokens: GeminiRequestWriter.WriteCount(ToolAdapter.For(call.Conversation, MaxToolNameLength,
                    takesCustom: false)?.Request ?? call.Conversation, model, call.Warn, body); break;
                default:
                    GeminiRequestWriter.Write((tools = ToolAdapter.For(call.Conversation, MaxToolNameLength, takesCustom: false))?.Request
                        ?? call.Conversation, model, call.Warn, body);
                    break;
            }
        }
        catch (GatewayErrorException e)
        {
            // Another deployment of the model may support what this provider does not.
            return new GatewayReply.AttemptFailed(e.Error, e.Error.Code == ErrorCode.UnsupportedParameter
                ? FailureClass.Failover
                : FailureClass.GiveBack);
        }
        catch (InvalidOperationException)
        {
            // JSON strings with half a surrogate pair are valid JSON, but not text.
            return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.InvalidParameter,
                "A string of the request is not valid Unicode text."), FailureClass.GiveBack);
        }

        var stream = call.Operation == Operation.Chat && call.Streams;
        var method = call.Operation switch
        {
            Operation.Embeddings => ":batchEmbedContents",
            Operation.CountTokens => ":countTokens",
            _ => stream ? ":streamGenerateContent?alt=sse" : ":generateContent",
        };
        var mode = stream ? UpstreamMode.Stream : UpstreamMode.Whole;
        var request = _client.CreatePost(AddressOf(model, method), body.WrittenMemory, call, mode);
        _keys.AddTo(request, GeminiProviderKind.KeyHeader, call, attempt);

        var exchange = await _client.SendAsync(request, attempt, mode, sameDialect: false, cancellationToken);
        exchange.Tools = tools;
        if (exchange.Failure is { } failure) return failure;
        if (stream)
        {
            return new GatewayReply.Streaming(new GeminiEventSource(exchange, CreateReader(call, attempt), call.Facts.ChoiceCount));
        }
        using (exchange)
        {
            var (answer, broken) = await exchange.ReadWholeAsync();
            if (answer is null) return broken!;
            using (answer)
            {
                if (call.Operation == Operation.Chat
                    && (DocumentText.IsEventStream(answer.WrittenSpan) || DocumentText.Split(answer.WrittenMemory).Count > 0))
                {
                    // Events, or a list of them, although a whole response was requested.
                    exchange.Replay(answer.WrittenSpan);
                    await using var events = new GeminiEventSource(exchange, CreateReader(call, attempt), call.Facts.ChoiceCount);
                    return await EventCollector.CollectAsync(events, attempt, cancellationToken);
                }
                return call.Operation switch
                {
                    Operation.Embeddings => (GatewayReply?)ReadEmbeddings(call, answer) ?? exchange.Unreadable(answer),
                    Operation.CountTokens => (GatewayReply?)ReadCount(answer) ?? exchange.Unreadable(answer),
                    _ => ReadAnswer(CreateReader(call, attempt), attempt, answer, tools) ?? exchange.Unreadable(answer),
                };
            }
        }
    }

    private Uri AddressOf(in GeminiModel model, string method)
    {
        // Tuned models have their own path (tunedModels/x); all others are under models/.
        var path = string.Join('/', model.Id.Split('/').Select(Uri.EscapeDataString));
        return UpstreamClientFactory.Address(_baseUrl, $"{ApiVersion}/{(model.Id.Contains('/') ? "" : "models/")}{path}{method}");
    }

    private static GeminiResponseReader CreateReader(GatewayCall call, Attempt attempt) =>
        new(call.Conversation.ChoiceCount, attempt.Meter, call.Warn, () => Ids.New("call_", call.Time), call.Model.FailsOverContentRejections);

    private static GatewayReply? ReadAnswer(GeminiResponseReader reader, Attempt attempt, PooledBuffer body, ToolAdapter? tools)
    {
        var events = new List<GenerationEvent>();
        if (!reader.TryRead(body.WrittenSpan, events, out var failure)) return null;
        if (failure is null) reader.EndWhole(events);
        var builder = new OutputBuilder();
        foreach (var generationEvent in events)
        {
            attempt.Meter.Observe(generationEvent);
            builder.Add(generationEvent);
        }
        if (failure is not null)
        {
            return new GatewayReply.AttemptFailed(failure, failure.IsContentRejection ? FailureClass.GiveBack : FailureClass.Retry,
                attempt.UpstreamStatus);
        }
        // A body with an unfinished choice is not a whole response.
        if (!reader.AnyFinished || reader.HasOpenChoice) return null;
        var made = builder.Build();
        return new GatewayReply.Complete(tools?.Restore(made) ?? made);
    }

    private static GatewayReply.Embedded? ReadEmbeddings(GatewayCall call, PooledBuffer body) =>
        GeminiEmbeddings.Read(body.WrittenMemory, call.Embeddings) is { } answer ? new GatewayReply.Embedded(answer) : null;

    private static GatewayReply.Counted? ReadCount(PooledBuffer body)
    {
        try
        {
            using var document = JsonDocument.Parse(body.WrittenMemory);
            return new GatewayReply.Counted(document.RootElement.GetProperty("totalTokens").GetInt64());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return null;
        }
    }
}
