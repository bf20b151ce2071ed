using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>
/// Provider failures for operators. Contains neither keys nor prompts, and of a provider's own text only what the allow-list permits.
/// </summary>
internal static partial class UpstreamLog
{
    [LoggerMessage(7001, LogLevel.Error,
        "ALARM: provider {Provider} returned status {Status} ({Reason}) for {Deployment}: {Text}. Clients receive provider_error until "
            + "the operator fixes the key, the model's name or the base URL")]
    public static partial void OperatorMustAct(ILogger logger, string provider, string deployment, int status, string reason, string text);

    [LoggerMessage(7002, LogLevel.Warning, "Provider {Provider} failed for {Deployment}: status {Status} ({Reason})")]
    public static partial void Answered(ILogger logger, string provider, string deployment, int status, string reason);

    [LoggerMessage(7003, LogLevel.Warning, "Provider {Provider} is unreachable for {Deployment}: {Reason}")]
    public static partial void Unreachable(ILogger logger, string provider, string deployment, string reason);

    [LoggerMessage(7004, LogLevel.Warning, "Provider {Provider} aborted its response for {Deployment}: {Reason}")]
    public static partial void BrokeOff(ILogger logger, string provider, string deployment, string reason);

    [LoggerMessage(7005, LogLevel.Warning, "Provider {Provider} timed out for {Deployment} in phase {Phase}")]
    public static partial void TimedOut(ILogger logger, string provider, string deployment, WaitingFor phase);

    [LoggerMessage(7006, LogLevel.Error,
        "ALARM: provider {Provider} rejected key {Number} of {Count}. The other keys are used; one request per minute tests this one")]
    public static partial void KeyRejected(ILogger logger, string provider, int number, int count);
}
