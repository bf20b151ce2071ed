namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Position of a content block: in <c>system</c>, in a message, or inside a block of a message.</summary>
/// <param name="Message">Index of the message; -1 for <c>system</c>.</param>
/// <param name="Block">Index of the block in it.</param>
/// <param name="Inside">Member of that block that contains this one (<c>content</c>, <c>source.content</c>), or null.</param>
/// <param name="Nested">Index in that member, or -1.</param>
internal readonly record struct BlockPosition(int Message, int Block, string? Inside = null, int Nested = -1)
{
    public bool IsSystem => Message < 0;

    public bool IsNested => Inside is not null;

    public FieldPath Field(string? name) =>
        IsSystem ? new FieldPath("system", Block, name)
        : IsNested ? new FieldPath("messages", Message, "content", Block, Inside, Nested, name)
        : new FieldPath("messages", Message, "content", Block, name);
}
