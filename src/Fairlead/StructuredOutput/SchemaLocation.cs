using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Fairlead.StructuredOutput;

/// <summary>
/// A value in the JSON of a schema, with its path. Each object is examined once, however many references go through it. Not thread-safe.
/// </summary>
internal sealed class SchemaLocation(SchemaLocation? parent, string name, JsonElement value)
{
    private const int LongestShown = 300;

    private Dictionary<string, SchemaLocation>? _members;
    private List<SchemaLocation>? _items;

    public JsonElement Value => value;

    public string Name => name;

    /// <summary>The compiled schema of this location; null until it is requested.</summary>
    public SchemaNode? Node { get; set; }

    /// <summary>Members of an object, in their order; if a name is repeated, the last one.</summary>
    public IReadOnlyCollection<SchemaLocation> Members => MembersByName().Values;

    /// <summary>Items of an array.</summary>
    public IReadOnlyList<SchemaLocation> Items
    {
        get
        {
            if (_items is not null) return _items;
            _items = new List<SchemaLocation>(value.GetArrayLength());
            foreach (var item in value.EnumerateArray())
                _items.Add(new SchemaLocation(this, _items.Count.ToString(CultureInfo.InvariantCulture), item));
            return _items;
        }
    }

    /// <summary>One step of a JSON Pointer; null if it does not exist.</summary>
    public SchemaLocation? Step(string to) => value.ValueKind switch
    {
        JsonValueKind.Object => MembersByName().GetValueOrDefault(to),
        JsonValueKind.Array => int.TryParse(to, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < Items.Count
            ? Items[index] : null,
        _ => null,
    };

    /// <summary>JSON Pointer without its first slash, truncated if a client made it long.</summary>
    public string Pointer()
    {
        var steps = new Stack<string>();
        for (var place = this; place.Parent is not null; place = place.Parent) steps.Push(place.Name);
        var text = new StringBuilder();
        foreach (var step in steps)
        {
            if (text.Length > LongestShown) break;
            if (text.Length > 0) text.Append('/');
            text.Append(step.Length <= LongestShown ? SchemaNode.Escaped(step) : SchemaNode.Escaped(step[..LongestShown]));
        }
        if (text.Length <= LongestShown) return text.ToString();
        return text.ToString(0, char.IsHighSurrogate(text[LongestShown - 1]) ? LongestShown - 1 : LongestShown) + "…";
    }

    private SchemaLocation? Parent => parent;

    private Dictionary<string, SchemaLocation> MembersByName()
    {
        if (_members is not null) return _members;
        _members = new Dictionary<string, SchemaLocation>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject()) _members[member.Name] = new SchemaLocation(this, member.Name, member.Value);
        return _members;
    }
}
