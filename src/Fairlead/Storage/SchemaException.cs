namespace Fairlead.Storage;

/// <summary>The schema of the database does not match the program. The message has the fix.</summary>
internal sealed class SchemaException(string message) : StorageException(message);
