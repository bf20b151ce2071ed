using Fairlead.Pipeline;
using Fairlead.Telemetry;

namespace Fairlead.Delivery;

/// <summary>Starts calls whose client waits for the response on its connection. Thread-safe.</summary>
internal sealed class LiveCalls(DrainState drain, GatewayTelemetry telemetry, TimeProvider time)
{
    /// <summary>Counts the call and gives it its token. <see cref="CallConclusion"/> disposes the token.</summary>
    public void Start(IClientResponse response, GatewayCall call)
    {
        telemetry.CallStarted(call);
        var client = call.ContinuesWithoutClient ? CancellationToken.None : response.Aborted;
        call.Cancellation = new CallCancellation(call.Deadline, time, client, drain.LimitReached);
    }
}
