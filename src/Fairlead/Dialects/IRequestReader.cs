using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Reads and checks the requests of one dialect. Thread-safe.</summary>
internal interface IRequestReader
{
    /// <summary>
    /// Checks <see cref="GatewayCall.Body"/> in one pass and fills <see cref="GatewayCall.Facts"/>. It deserializes nothing and copies no
    /// text. Returns the first error in the order of the body, or null.
    /// </summary>
    GatewayError? Read(GatewayCall call, RequestBounds bounds);

    /// <summary>
    /// Loads stored data that the request refers to, such as an earlier response. Called once, after <see cref="Read"/> succeeded.
    /// From then on <see cref="GatewayCall.Facts"/> do not change.
    /// </summary>
    ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) => default;

    /// <summary>
    /// Renames <see cref="GatewayError.Parameter"/> to the client's own field name. Code that validates the canonical request knows only
    /// canonical names.
    /// </summary>
    GatewayError WithClientParameter(GatewayCall call, GatewayError error) => error;
}
