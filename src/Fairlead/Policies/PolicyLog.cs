using Microsoft.Extensions.Logging;

namespace Fairlead.Policies;

internal static partial class PolicyLog
{
    [LoggerMessage(22001, LogLevel.Information, "Content policies in force: {Configured} of the configuration, {Stored} of the database")]
    public static partial void Applied(ILogger logger, int configured, int stored);

    [LoggerMessage(22002, LogLevel.Warning, "The content policies could not be read again, so the last ones stay in force: {Reason}")]
    public static partial void RefreshFailed(ILogger logger, string reason);

    [LoggerMessage(22003, LogLevel.Information, "The content policies are read again")]
    public static partial void RefreshRecovered(ILogger logger);

    [LoggerMessage(22004, LogLevel.Error, "The content policy {Id} cannot be read and blocks all calls that it applies to: {Reason}")]
    public static partial void Unreadable(ILogger logger, string id, string reason);

    [LoggerMessage(22005, LogLevel.Information, "{Action} {Id}, version {Version}, by key {KeyId}")]
    public static partial void Changed(ILogger logger, string action, string id, long version, string keyId);

    [LoggerMessage(22006, LogLevel.Warning, "The judge of the rule {Rule} of the content policy {Policy} gave no verdict: {Reason}")]
    public static partial void JudgeFailed(ILogger logger, string rule, string policy, string reason);
}
