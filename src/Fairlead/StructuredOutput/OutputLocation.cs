using System.Globalization;
using System.Text;

namespace Fairlead.StructuredOutput;

/// <summary>A location in an output. It becomes text only for a violation: names may be long and locations many.</summary>
/// <param name="around">The location of the surrounding object or array; null for the document.</param>
/// <param name="name">Of a member; null for an item.</param>
/// <param name="index">Of an item.</param>
internal sealed class OutputLocation(OutputLocation? around, string? name, int index)
{
    private const int LongestPointer = 2000;

    private OutputLocation? Around => around;

    private string? Name => name;

    private int Index => index;

    /// <summary>JSON Pointer (RFC 6901), truncated where names are very long.</summary>
    public string Pointer()
    {
        var places = new Stack<OutputLocation>();
        for (var place = this; place is not null; place = place.Around) places.Push(place);
        var text = new StringBuilder();
        foreach (var place in places)
        {
            if (text.Length > LongestPointer) break;
            text.Append('/').Append(place.Name is { } member
                ? SchemaNode.Escaped(member.Length <= LongestPointer ? member : member[..LongestPointer])
                : place.Index.ToString(CultureInfo.InvariantCulture));
        }
        return text.Length <= LongestPointer ? text.ToString()
            : text.ToString(0, char.IsHighSurrogate(text[LongestPointer - 1]) ? LongestPointer - 1 : LongestPointer) + "…";
    }
}
