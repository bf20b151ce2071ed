using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>One call's part in a shared generation.</summary>
internal sealed class GenerationShare(GenerationFlights flights, GenerationFlight flight) : ICallShare
{
    public GenerationFlight Flight => flight;

    /// <summary>Whether its call makes the attempts.</summary>
    public bool IsOwner => ReferenceEquals(flight.Owner, this);

    /// <summary>Whether the call has all events of a generation that ended well.</summary>
    public bool HasReadAll { get; set; }

    public void Leave(GatewayCall call) => flights.Leave(this, call);
}
