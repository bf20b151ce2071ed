using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Requests that choose their delivery with a field of their dialect. Thread-safe.</summary>
internal interface IDeliveryChoice
{
    /// <summary>The asynchronous delivery that the request chooses; null when it chooses none.</summary>
    Preference? Of(GatewayCall call);

    /// <summary>Whether the generation is stored from its start, also if its client waits for the whole response.</summary>
    bool Stores(GatewayCall call);

    /// <summary>Whether the request leaves the choice to the <c>Prefer</c> header.</summary>
    bool AllowsPreferHeader(GatewayCall call);
}
