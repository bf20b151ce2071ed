using Fairlead.Errors;

namespace Fairlead.Auditing.Spooling;

/// <summary>A record cannot be put on disk, so the work it announces must not begin.</summary>
internal sealed class SpoolUnavailableException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What the caller is told; no path and no detail of the disk.</summary>
    public GatewayError Error { get; } = new(ErrorCode.StoreUnavailable, "The server cannot record the call now, so it was not sent to a model and is not charged.")
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };
}
