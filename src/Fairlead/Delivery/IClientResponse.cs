using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Where the response of one request goes, independent of the transport: a status and headers, then either events, a body or an error.
/// Status and headers can change until the response starts. Only <see cref="Abort"/> may be called from another thread.
/// </summary>
internal interface IClientResponse
{
    int Status { get; set; }

    IHeaderDictionary Headers { get; }

    /// <summary>Whether the client may have received something.</summary>
    bool HasStarted { get; }

    /// <summary>Fires when the client is gone or the response was aborted.</summary>
    CancellationToken Aborted { get; }

    /// <summary>Takes the events of a streamed response.</summary>
    IEventOutput Events { get; }

    /// <summary>Starts the response: status and headers are fixed from then on.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Sends a body, or the next part of one, and waits for a slow client.</summary>
    /// <returns>False once the client is gone.</returns>
    ValueTask<bool> WriteBodyAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken);

    /// <summary>Sends an error as the whole response. The response must not have started.</summary>
    Task WriteErrorAsync(GatewayError error, ErrorShape shape);

    /// <summary>
    /// Removes the status and the headers that were set, except the id of the request. The response must not have started.
    /// </summary>
    void Clear();

    /// <summary>Ends the response at once. The client must not take it for a complete one.</summary>
    void Abort();

    /// <summary>The same, after the client has received what was sent.</summary>
    Task AbortAfterFlushAsync();
}
