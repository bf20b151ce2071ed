using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Http;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>The stream of a stored generation, as the response of an endpoint.</summary>
/// <param name="streams">Streams it.</param>
/// <param name="call">The call of the reader.</param>
/// <param name="record">The generation.</param>
/// <param name="view">How it is shown.</param>
/// <param name="after">The last event that the reader has; -1 for none.</param>
internal sealed class KeptStreamResult(KeptStreams streams, GatewayCall call, GenerationRecord record, GenerationView view, long after)
    : EndpointResult
{
    protected override Task WriteResponseAsync(HttpContext context, ErrorShape shape) =>
        streams.RelayAsync(new HttpExchange(context, call.Time), call, record, view, after);
}
