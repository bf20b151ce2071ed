using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>One call's part in a shared generation.</summary>
internal sealed class GenerationShare(GenerationFlights flights, GenerationFlight flight, bool streams) : ICallShare
{
    public GenerationFlight Flight => flight;

    /// <summary>Whether its call makes the attempts.</summary>
    public bool IsOwner => ReferenceEquals(flight.Owner, this);

    /// <summary>Whether its client reads a stream, at its own speed. Others collect the response as fast as it comes.</summary>
    public bool Streams => streams;

    /// <summary>Events that it has read. Guarded by the flight.</summary>
    public int Position { get; set; }

    /// <summary>Whether it reads no more. Guarded by the flight.</summary>
    public bool HasStopped { get; set; }

    /// <summary>Whether the call has all events of a generation that ended well.</summary>
    public bool HasReadAll { get; set; }

    public void Leave(GatewayCall call) => flights.Leave(this, call);
}
