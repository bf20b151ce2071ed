using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Streaming;

namespace Fairlead.Policies.Moderation;

/// <summary>Sends a moderation request to the deployments that routing chooses. Belongs to one call.</summary>
/// <param name="body">The request, as the policies let it pass.</param>
internal sealed class ModerationSender(JsonElement body) : IAttemptSender
{
    public async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        var deployment = attempt.Deployment;
        attempt.Meter.UpstreamModel = deployment.UpstreamModel;
        attempt.Sent = true;
        if (await deployment.Provider.ModerateAsync(BodyFor(deployment.UpstreamModel), deployment.Timeouts.Response, cancellationToken)
            is not { } reply)
        {
            attempt.Sent = false;
            return new GatewayReply.AttemptFailed(
                GatewayError.Unsupported("model", $"The provider of the model `{call.Model.Id}` has no moderation API."),
                FailureClass.Failover);
        }
        attempt.UpstreamStatus = reply.Status;
        if (reply.Status is >= 200 and < 300 && ModerationDialect.Parse(reply.Body) is not null)
            return new GatewayReply.NativeBody(PooledBuffer.Of(reply.Body, call.Memory, neverRefused: true));
        var error = ErrorOf(reply);
        return new GatewayReply.AttemptFailed(error, UpstreamErrors.ClassOf(error), reply.Status);
    }

    private byte[] BodyFor(string upstreamModel)
    {
        var sent = JsonObject.Create(body)!;
        sent["model"] = upstreamModel;
        return JsonSerializer.SerializeToUtf8Bytes(sent, ModerationJson.Default.JsonObject);
    }

    // No text of the provider: it may repeat the input.
    private static GatewayError ErrorOf(ModerationReply reply) => reply.Status switch
    {
        null => new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not respond in time."),
        400 or 413 or 422 => new GatewayError(ErrorCode.ProviderRejected, "The model's provider rejected the request."),
        429 or 503 => new GatewayError(ErrorCode.ProviderUnavailable, "The model's provider has no capacity now."),
        _ => new GatewayError(ErrorCode.ProviderError, "The model's provider failed."),
    };
}
