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
        switch (await deployment.Provider.ModerateAsync(call, attempt, BodyFor(deployment.UpstreamModel), cancellationToken))
        {
            case null:
                return new GatewayReply.AttemptFailed(
                    GatewayError.Unsupported("model", $"The provider of the model `{call.Model.Id}` has no moderation API."),
                    FailureClass.Failover);

            case GatewayReply.AttemptFailed failed:
                return new GatewayReply.AttemptFailed(WithoutText(failed.Error), failed.Class, failed.Status);

            case GatewayReply.NativeBody answered:
                if (ModerationDialect.Parse(answered.Body.WrittenMemory) is not null) return answered;
                answered.Body.Dispose();
                return new GatewayReply.AttemptFailed(
                    UpstreamErrors.ToError(UpstreamErrorKind.Broken, null, null), FailureClass.Retry, attempt.UpstreamStatus);

            case { } reply:
                throw new InvalidOperationException($"A moderation is no {reply.GetType().Name}.");
        }
    }

    private byte[] BodyFor(string upstreamModel)
    {
        var sent = JsonObject.Create(body)!;
        sent["model"] = upstreamModel;
        return JsonSerializer.SerializeToUtf8Bytes(sent, ModerationJson.Default.JsonObject);
    }

    // No text of the provider: it may repeat the input.
    private static GatewayError WithoutText(GatewayError error) => error.Code != ErrorCode.ProviderRejected ? error
        : UpstreamErrors.ToError(error.IsContentRejection ? UpstreamErrorKind.ContentPolicy : UpstreamErrorKind.Rejected, null, null);
}
