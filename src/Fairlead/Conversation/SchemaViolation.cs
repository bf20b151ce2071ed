namespace Fairlead.Conversation;

/// <summary>One way in which an output violates its schema. It names the location and the rule, never the value.</summary>
/// <param name="Pointer">JSON Pointer (RFC 6901) into the output; empty for the whole.</param>
/// <param name="Detail">What is wrong, as a sentence.</param>
internal sealed record SchemaViolation(string Pointer, string Detail);
