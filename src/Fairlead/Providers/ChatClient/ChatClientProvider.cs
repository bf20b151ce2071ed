using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.ChatClient;

/// <summary>Any <see cref="IChatClient"/> of the host application as the provider of one model.</summary>
internal sealed class ChatClientProvider(string name, IChatClient client, TimeProvider time, ILogger logger) : Provider(name, KindName)
{
    public const string KindName = "embedded";

    public override string TelemetryName { get; } = (client.GetService(typeof(ChatClientMetadata)) as ChatClientMetadata)?.ProviderName
        ?? KindName;

    public override Uri? Endpoint { get; } = (client.GetService(typeof(ChatClientMetadata)) as ChatClientMetadata)?.ProviderUri;

    public override bool Speaks(Dialect dialect) => false;

    public override GatewayError? Refuse(GatewayCall call) =>
        call.Operation == Operation.Chat ? null : GatewayError.Unsupported("model", "This model supports only conversations.");

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        if (Refuse(call) is { } refusal) return new GatewayReply.AttemptFailed(refusal, FailureClass.Failover);
        List<ChatMessage> messages;
        ChatOptions options;
        try
        {
            (messages, options) = ChatClientRequest.Create(call.Conversation, call);
        }
        catch (GatewayErrorException e)
        {
            // Another deployment of the model may support what this client does not.
            return new GatewayReply.AttemptFailed(e.Error, e.Error.Code == ErrorCode.UnsupportedParameter
                ? FailureClass.Failover
                : FailureClass.GiveBack);
        }
        // The client knows its own model; only a deployment in the configuration may name another one.
        if (attempt.Deployment.UpstreamModel != Name) options.ModelId = attempt.Deployment.UpstreamModel;

        attempt.Sent = true;
        return call.Streams
            ? await StreamAsync(call, attempt, messages, options, cancellationToken)
            : await CompleteAsync(call, attempt, messages, options, cancellationToken);
    }

    private async ValueTask<GatewayReply> StreamAsync(
        GatewayCall call, Attempt attempt, List<ChatMessage> messages, ChatOptions options, CancellationToken cancellationToken)
    {
        var source = new ChatClientEventSource(
            token => client.GetStreamingResponseAsync(messages, options, token),
            new ChatClientResponseReader(call, attempt.Meter),
            new AttemptWatch(attempt.Deployment.Timeouts, time, cancellationToken),
            Name, logger);
        var started = false;
        try
        {
            // An immediate failure is a reply, so that Routing knows whether to retry.
            if (await source.StartAsync(cancellationToken) is { } failed) return failed;
            started = true;
            return new GatewayReply.Streaming(source);
        }
        finally
        {
            if (!started) await source.DisposeAsync();
        }
    }

    private async ValueTask<GatewayReply> CompleteAsync(
        GatewayCall call, Attempt attempt, List<ChatMessage> messages, ChatOptions options, CancellationToken cancellationToken)
    {
        using var watch = new AttemptWatch(attempt.Deployment.Timeouts, time, cancellationToken);
        using var given = new BuilderToken(watch.Token);
        watch.Arm(WaitingFor.Response);
        ChatResponse response;
        try
        {
            // Awaited with the token, so that a client that ignores its own token cannot block the call.
            response = await client.GetResponseAsync(messages, options, given.Token).WaitAsync(watch.Token);
        }
        catch (Exception e)
        {
            // The wait may observe the cancellation before the token that was passed does.
            given.Stop();
            watch.ThrowIfStoppedByCaller();
            return ChatClientFailures.From(e, watch, Name, logger);
        }

        var reader = new ChatClientResponseReader(call, attempt.Meter);
        var events = new List<GenerationEvent>();
        GatewayError? failure = null;
        foreach (var message in response.Messages) failure ??= reader.Read(message.Contents, events);
        if (response.Usage is { } usage && !reader.HasUsage) reader.Count(usage, events);
        reader.NoteFinish(response.FinishReason, response.ModelId);
        failure ??= reader.End(events);

        var builder = new OutputBuilder();
        foreach (var generationEvent in events)
        {
            attempt.Meter.Observe(generationEvent);
            builder.Add(generationEvent);
        }
        if (failure is null) return new GatewayReply.Complete(builder.Build());
        ChatClientFailures.Unusable(logger, Name, "error content, or tool call arguments that are not JSON");
        return new GatewayReply.AttemptFailed(failure, FailureClass.Failover);
    }
}
