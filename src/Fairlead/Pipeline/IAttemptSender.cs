using Fairlead.Providers;

namespace Fairlead.Pipeline;

/// <summary>
/// Sends the attempts of one call instead of the deployment's provider, for a stage that sends only a part of the request, or several calls
/// together.
/// </summary>
internal interface IAttemptSender
{
    /// <summary>One attempt, with the contract of <see cref="Provider.SendAsync"/>.</summary>
    ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken);
}
