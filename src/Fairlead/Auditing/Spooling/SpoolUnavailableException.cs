using Fairlead.Errors;

namespace Fairlead.Auditing.Spooling;

/// <summary>A record cannot be written to disk, so the work must not start.</summary>
internal sealed class SpoolUnavailableException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The error for the caller; no path and no detail of the disk.</summary>
    public GatewayError Error { get; } = new(ErrorCode.StoreUnavailable,
        "The server cannot record the call at the moment, so it was not sent to a model and is not charged.")
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };
}
