using Fairlead.Errors;

namespace Fairlead.Memory;

/// <summary>More bytes were to be held than the budget has room for. Ends what was to hold them, with <c>overloaded</c>.</summary>
internal sealed class MemoryExhaustedException(GatewayError error) : GatewayErrorException(error);
