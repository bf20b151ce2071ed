using System.Text.Json;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>What a client of the load saw of one call. The seed identifies the call in the upstream's log and in the audit.</summary>
/// <param name="Seed">Number of the call.</param>
/// <param name="Whole">Whether the client may take it for finished: a whole body, or a stream up to its last line.</param>
/// <param name="RequestId">From the header, once there was one.</param>
/// <param name="End">The final <c>fairlead</c> object of a whole response.</param>
internal sealed record LoadedCall(long Seed, bool Whole, string? RequestId, JsonElement? End)
{
    /// <summary>Whether its stream ended with the error event of a broken provider.</summary>
    public bool ToldOfTheCut { get; init; }
}

/// <summary>Kinds of calls in the load, by the seed's remainder.</summary>
internal enum LoadKind
{
    Sync,
    Stream,
    SimulatedSync,
    SimulatedStream,
    HangUp,
    CutByUpstream,
}
