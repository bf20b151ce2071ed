namespace Fairlead.Storage;

/// <summary>The schema of the database and the program do not fit together; the message says what to do.</summary>
internal sealed class SchemaException(string message) : StorageException(message);
