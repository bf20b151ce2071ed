using System.Globalization;
using System.Text;

namespace Fairlead.Dialects;

/// <summary>
/// Position of a field, such as <c>messages[2].content[0].image_url.url</c>. Created for every field read, formatted only for an error.
/// </summary>
/// <param name="Head">First name.</param>
/// <param name="Index">Its index, or -1.</param>
/// <param name="Middle">Name under it, perhaps with dots, or null.</param>
/// <param name="Inner">Index of that, or -1.</param>
/// <param name="Tail">Name under that, perhaps with dots, or null.</param>
/// <param name="Innermost">Index of that, or -1.</param>
/// <param name="Leaf">Name under that, perhaps with dots, or null.</param>
internal readonly record struct FieldPath(
    string Head, int Index = -1, string? Middle = null, int Inner = -1, string? Tail = null, int Innermost = -1, string? Leaf = null)
{
    public static implicit operator FieldPath(string field) => new(field);

    public override string ToString()
    {
        if (Index < 0 && Middle is null && Inner < 0 && Tail is null) return Head;
        var text = new StringBuilder(Head);
        if (Index >= 0) text.Append(CultureInfo.InvariantCulture, $"[{Index}]");
        if (Middle is not null) text.Append('.').Append(Middle);
        if (Inner >= 0) text.Append(CultureInfo.InvariantCulture, $"[{Inner}]");
        if (Tail is not null) text.Append('.').Append(Tail);
        if (Innermost >= 0) text.Append(CultureInfo.InvariantCulture, $"[{Innermost}]");
        if (Leaf is not null) text.Append('.').Append(Leaf);
        return text.ToString();
    }
}
