namespace Fairlead.Storage;

/// <summary>The database cannot be used; the message tells the operator why and what to do. Not for callers: it names paths.</summary>
internal class StorageException(string message, Exception? inner = null) : Exception(message, inner);
