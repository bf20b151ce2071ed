namespace Fairlead.StructuredOutput;

/// <summary>What a request asks for beyond an output of a schema: that the gateway itself holds the output against it.</summary>
/// <param name="Schema">The schema, ready to check with.</param>
/// <param name="Repairs">Whether an output that does not satisfy it is asked for once more.</param>
internal sealed record StructuredWish(OutputSchema Schema, bool Repairs);
