using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.ChatClient;

/// <summary>Any embedding generator of the host application as the provider of one model.</summary>
internal sealed class EmbeddingGeneratorProvider(string name, IEmbeddingGenerator<string, Embedding<float>> generator, TimeProvider time,
    ILogger logger)
    : Provider(name, ChatClientProvider.KindName)
{
    public override string TelemetryName { get; } =
        (generator.GetService(typeof(EmbeddingGeneratorMetadata)) as EmbeddingGeneratorMetadata)?.ProviderName
            ?? ChatClientProvider.KindName;

    public override Uri? Endpoint { get; } =
        (generator.GetService(typeof(EmbeddingGeneratorMetadata)) as EmbeddingGeneratorMetadata)?.ProviderUri;

    public override bool Speaks(Dialect dialect) => false;

    public override GatewayError? Refuse(GatewayCall call) =>
        call.Operation == Operation.Embeddings ? null : GatewayError.Unsupported("model", "This model supports only embeddings.");

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        if (Refuse(call) is { } refusal) return new GatewayReply.AttemptFailed(refusal, FailureClass.Failover);
        var request = call.Embeddings;
        var texts = new List<string>(request.Inputs.Count);
        foreach (var input in request.Inputs)
        {
            if (input.Text is not { } text)
            {
                return new GatewayReply.AttemptFailed(GatewayError.Unsupported("input",
                    "This model accepts text only: token ids depend on the tokenizer of another model."), FailureClass.Failover);
            }
            texts.Add(text);
        }
        var options = new EmbeddingGenerationOptions
        {
            Dimensions = request.Dimensions,
            ModelId = attempt.Deployment.UpstreamModel != Name ? attempt.Deployment.UpstreamModel : null,
            AdditionalProperties = new AdditionalPropertiesDictionary { [GatewayCallExtensions.PropertyName] = call },
        };
        if (request.EndUser is { } user) options.AdditionalProperties["fairlead.end_user"] = user;

        attempt.Sent = true;
        using var watch = new AttemptWatch(attempt.Deployment.Timeouts, time, cancellationToken);
        using var given = new BuilderToken(watch.Token);
        watch.Arm(WaitingFor.Response);
        GeneratedEmbeddings<Embedding<float>> embeddings;
        try
        {
            // Awaited with the token, so that a generator that ignores its own token cannot block the call.
            embeddings = await generator.GenerateAsync(texts, options, given.Token).WaitAsync(watch.Token);
        }
        catch (Exception e)
        {
            // The wait may observe the cancellation before the token that was passed does.
            given.Stop();
            watch.ThrowIfStoppedByCaller();
            return ChatClientFailures.From(e, watch, Name, logger);
        }

        if (ErrorOf(embeddings, request) is { } reason)
        {
            ChatClientFailures.Unusable(logger, Name, reason);
            return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError, "The model failed to respond."),
                FailureClass.Failover);
        }
        if (embeddings.Usage is { } usage)
        {
            attempt.Meter.ReportUsage(UsageReport.Of(usage.InputTokenCount, usage.OutputTokenCount, usage.TotalTokenCount));
        }
        return new GatewayReply.Embedded(new EmbeddingsResponse([.. embeddings.Select(e => e.Vector)]));
    }

    private static string? ErrorOf(GeneratedEmbeddings<Embedding<float>> embeddings, EmbeddingsRequest request)
    {
        if (embeddings.Count != request.Inputs.Count) return "the number of vectors differs from the number of texts";
        foreach (var embedding in embeddings)
        {
            if (embedding.Vector.IsEmpty) return "an empty vector";
            if (request.Dimensions is { } dimensions && embedding.Vector.Length != dimensions)
            {
                return "vectors of a different length than requested";
            }
            // JSON cannot represent NaN and infinity.
            foreach (var value in embedding.Vector.Span)
            {
                if (!float.IsFinite(value)) return "a vector with values that are not numbers";
            }
        }
        return null;
    }
}
