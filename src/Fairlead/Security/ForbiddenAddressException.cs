namespace Fairlead.Security;

/// <summary>A name leads only to addresses that may not be called. The message names no address: it may be shown to whoever wrote the name.</summary>
internal sealed class ForbiddenAddressException(string message) : IOException(message);
