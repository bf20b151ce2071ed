using Fairlead.Errors;

namespace Fairlead.Memory;

/// <summary>The budget does not have enough memory. Ends the work that needed it, with <c>overloaded</c>.</summary>
internal sealed class MemoryExhaustedException(GatewayError error) : GatewayErrorException(error);
