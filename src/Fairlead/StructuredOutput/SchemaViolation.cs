namespace Fairlead.StructuredOutput;

/// <summary>One way in which an output does not satisfy its schema. It names the place and the rule, never what stands there.</summary>
/// <param name="Pointer">JSON Pointer (RFC 6901) into the output; empty for the whole.</param>
/// <param name="Detail">What is wrong, as a sentence.</param>
internal sealed record SchemaViolation(string Pointer, string Detail);
