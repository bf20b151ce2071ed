using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.ChatClient;

/// <summary>Converts exceptions of the application's code to failures, without any of their text for the caller.</summary>
internal static partial class ChatClientFailures
{
    /// <summary>
    /// A <see cref="GatewayErrorException"/> is the application's own error and is returned unchanged; everything else becomes a provider
    /// error.
    /// </summary>
    public static GatewayReply.AttemptFailed From(Exception exception, AttemptWatch watch, string model, ILogger logger)
    {
        if (watch.TimedOut)
        {
            TimedOut(logger, model, watch.Waiting);
            return new GatewayReply.AttemptFailed(UpstreamClient.TimeoutError(watch.Waiting), FailureClass.Failover);
        }
        switch (exception)
        {
            case GatewayErrorException refusal:
                return new GatewayReply.AttemptFailed(
                    refusal.Error, refusal.Error.Definition.Group is ErrorGroup.Request or ErrorGroup.Access
                        ? FailureClass.GiveBack
                        : FailureClass.Failover);
            case OperationCanceledException or TimeoutException:
                Threw(logger, model, exception.GetType().Name);
                return new GatewayReply.AttemptFailed(UpstreamClient.TimeoutError(WaitingFor.Total), FailureClass.Failover);
            case HttpRequestException or IOException:
                Threw(logger, model, exception.GetType().Name);
                Detail(logger, model, exception);
                return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError, "The model failed to respond."),
                    FailureClass.Retry);
            default:
                Threw(logger, model, exception.GetType().Name);
                Detail(logger, model, exception);
                return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError, "The model failed to respond."),
                    FailureClass.Failover);
        }
    }

    [LoggerMessage(7101, LogLevel.Error,
        "The client of model {Model} threw {Exception}; clients receive provider_error. The exception is logged at Debug because its "
            + "text may contain request content")]
    private static partial void Threw(ILogger logger, string model, string exception);

    [LoggerMessage(7102, LogLevel.Debug, "The client of model {Model} threw")]
    private static partial void Detail(ILogger logger, string model, Exception exception);

    [LoggerMessage(7103, LogLevel.Warning, "The client of model {Model} timed out in phase {Phase}")]
    private static partial void TimedOut(ILogger logger, string model, WaitingFor phase);

    [LoggerMessage(7104, LogLevel.Error, "The client of model {Model} returned an invalid response: {Reason}")]
    public static partial void Unusable(ILogger logger, string model, string reason);
}
