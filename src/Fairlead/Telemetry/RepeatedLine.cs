using System.Collections;

namespace Fairlead.Telemetry;

/// <summary>Reports how many lines of one event were left out.</summary>
/// <param name="template">Their text, with placeholders for what differs.</param>
/// <param name="leftOut">How many.</param>
internal sealed class RepeatedLine(string? template, long leftOut) : IReadOnlyList<KeyValuePair<string, object?>>
{
    private readonly KeyValuePair<string, object?>[] _values =
    [
        new("LeftOut", leftOut),
        new("Line", template),
        new("{OriginalFormat}", "{LeftOut} more line(s) like this in the last second: {Line}"),
    ];

    public int Count => _values.Length;

    public KeyValuePair<string, object?> this[int index] => _values[index];

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => ((IEnumerable<KeyValuePair<string, object?>>)_values)
        .GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture,
        $"{leftOut} more line(s) like this in the last second: {template}");
}
