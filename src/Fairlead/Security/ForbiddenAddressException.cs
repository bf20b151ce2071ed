namespace Fairlead.Security;

/// <summary>
/// A host name resolves only to forbidden addresses. The message contains no address: it may be shown to the author of the name.
/// </summary>
internal sealed class ForbiddenAddressException(string message) : IOException(message);
