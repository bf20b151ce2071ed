namespace Fairlead.Auditing.Blocks;

/// <summary>The bytes of a block are not those of one.</summary>
internal sealed class BlockFormatException(string message, Exception? inner = null) : Exception(message, inner);
