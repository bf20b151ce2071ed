using System.Collections.Concurrent;
using System.Net;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;

namespace Fairlead.Providers.OpenAi;

/// <summary>Every server that speaks OpenAI's chat, completions and embeddings interface. Thread-safe.</summary>
internal sealed class OpenAiProvider : Provider
{
    private readonly OpenAiEndpoint _endpoint;
    private readonly UpstreamClient _client;
    private readonly ApiKeyRing _keys;

    // Upstream models whose server refused the field; learned anew after a restart or reload.
    private readonly ConcurrentDictionary<string, bool> _withoutStreamOptions = new(StringComparer.Ordinal);

    public OpenAiProvider(string name, ProviderConfig config, UpstreamClientFactory clients)
        : base(name, config.Kind)
    {
        _endpoint = new OpenAiEndpoint(config);
        _client = clients.Create(name, config);
        _keys = new ApiKeyRing(config, _endpoint.KeyPrefix);
    }

    public override string TelemetryName => _endpoint.TelemetryName;

    public override Uri? Endpoint => _endpoint.Address;

    public override string? OpenAiTypeOf(GatewayCall call) =>
        !_endpoint.IsOpenAi || call.Operation != Operation.Chat ? null
        : SpeaksWith(call) && call.Dialect.Name == "openai.responses" ? "responses" : "chat_completions";

    public override bool Speaks(Dialect dialect) => dialect.Name switch
    {
        "openai.chat" or "openai.embeddings" => true,
        "openai.completions" => _endpoint.HasCompletions,
        "openai.responses" or "openai.responses.compact" => _endpoint.HasResponses,
        _ => false,
    };

    public override GatewayError? Refuse(GatewayCall call) => call.Operation == Operation.CountTokens
        ? new GatewayError(ErrorCode.ProviderError, "The model's provider has no interface to count tokens.")
        : null;

    public override async ValueTask<ProviderReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        if (Refuse(call) is { } refusal) return new ProviderReply.Failed(refusal, FailureClass.Failover);
        var native = SpeaksWith(call);
        var mode = call.Facts.Stream && call.Operation == Operation.Chat ? UpstreamMode.Stream : UpstreamMode.Whole;
        call.Facts.OmitsStreamOptions = mode == UpstreamMode.Stream && call.Dialect.Name != "openai.responses" && _withoutStreamOptions.ContainsKey(attempt.Deployment.UpstreamModel);
        var exchange = await SendBodyAsync(call, attempt, native, mode, cancellationToken);
        if (exchange.RefusedStreamOptions && mode == UpstreamMode.Stream && !call.Facts.OmitsStreamOptions)
        {
            // Asked for by us, so not a fault of the request: once more without, and usage is estimated.
            call.Facts.OmitsStreamOptions = true;
            exchange = await SendBodyAsync(call, attempt, native, mode, cancellationToken);
            if (exchange.Failure is null) _withoutStreamOptions.TryAdd(attempt.Deployment.UpstreamModel, true);
        }
        if (exchange.Failure is { } failure) return failure;
        if (mode == UpstreamMode.Stream)
        {
            return new ProviderReply.Streaming(native
                ? new NativeEventSource(exchange, call.Dialect, call.Facts.ExpectedChoices)
                : new OpenAiChatEventSource(exchange, call.Conversation.ChoiceCount, call.Conversation.Sampling.Stop));
        }
        using (exchange)
        {
            var (body, broken) = await exchange.ReadWholeAsync();
            if (body is null) return broken!;
            if (native) return ReadNative(call, attempt, exchange, body);
            using (body)
            {
                return OpenAiChatAnswerReader.Read(body.WrittenMemory, attempt.Meter, call.Conversation.Sampling.Stop) is { } answer
                    ? new ProviderReply.Complete(answer)
                    : Unreadable(exchange, body);
            }
        }
    }

    private async ValueTask<UpstreamExchange> SendBodyAsync(GatewayCall call, Attempt attempt, bool native, UpstreamMode mode, CancellationToken cancellationToken)
    {
        var model = attempt.Deployment.UpstreamModel;
        using var body = new PooledBuffer(native ? call.Body.Length + 512 : 4096, call.Memory, uncounted: MemoryBudget.SmallBytes) { Expected = (call.Body?.Length ?? 0) + 4096 };
        try
        {
            if (native) call.Dialect.WriteUpstreamBody(call, model, body);
            else new OpenAiChatRequestWriter(call.Conversation, call.Model, _endpoint, call.Warn, Family(call.Dialect)).Write(model, mode == UpstreamMode.Stream, body, askForUsage: !call.Facts.OmitsStreamOptions);
        }
        catch (GatewayErrorException refused)
        {
            // Another deployment may have a form for what this one cannot be told.
            return new UpstreamExchange(new ProviderReply.Failed(refused.Error, FailureClass.Failover));
        }
        var path = call.Operation == Operation.Embeddings ? "/embeddings" : native && call.Dialect.Name == "openai.completions" ? "/completions" : native && call.Dialect.Name == "openai.responses" ? "/responses" : native && call.Dialect.Name == "openai.responses.compact" ? "/responses/compact" : "/chat/completions";
        var request = _client.CreatePost(_endpoint.AddressOf(path, model), body.WrittenMemory, call, mode);
        if (_keys.Next() is { } key) request.Headers.TryAddWithoutValidation(_endpoint.KeyHeader, key);
        return await _client.SendAsync(request, attempt, mode, sameDialect: native, cancellationToken);
    }

    private static ProviderReply ReadNative(GatewayCall call, Attempt attempt, UpstreamExchange exchange, PooledBuffer body)
    {
        if (call.Dialect.ScanAnswer(body.WrittenSpan, attempt.Meter))
        {
            OutputText.KeepUncounted(body.WrittenSpan, attempt.Meter);
            return new ProviderReply.NativeBody(body);
        }
        using (body) return Unreadable(exchange, body);
    }

    // Some servers put errors into an answer with status 200.
    private static ProviderReply.Failed Unreadable(UpstreamExchange exchange, PooledBuffer body)
    {
        var parsed = UpstreamErrorBody.Parse(body.WrittenMemory);
        if (parsed.Message is null && parsed.Code is null) return exchange.Malformed();
        var status = int.TryParse(parsed.Code, out var code) && code is >= 400 and < 600 ? code : 500;
        return UpstreamErrors.FromResponse((HttpStatusCode)status, exchange.Response.Headers, body.WrittenMemory, exchange.Attempt, sameDialect: false, exchange.Client.Time, exchange.Client.Logger);
    }

    private static bool Family(Dialect dialect) => dialect.Name.StartsWith("openai.", StringComparison.Ordinal);
}
