namespace Fairlead.Responses;

/// <summary>The limits of one connection.</summary>
/// <param name="MaxMessageBytes">Length of one message.</param>
/// <param name="MaxMessageTime">Time from the first byte of a message to its last.</param>
internal readonly record struct SocketLimits(int MaxMessageBytes, TimeSpan MaxMessageTime);
