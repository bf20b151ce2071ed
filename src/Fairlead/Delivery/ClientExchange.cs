namespace Fairlead.Delivery;

/// <summary>A request and the way back to its client.</summary>
/// <remarks>
/// The deliveries see only this, so that each of them serves every transport: <see cref="HttpExchange"/>, and a turn of a WebSocket.
/// </remarks>
internal readonly record struct ClientExchange(IClientRequest Request, IClientResponse Response);
