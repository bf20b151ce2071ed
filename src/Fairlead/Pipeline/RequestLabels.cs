namespace Fairlead.Pipeline;

/// <summary>
/// What a request says about itself for those who look for it later: its end user, and the client's own metadata. Never interpreted.
/// Written only while the request is read.
/// </summary>
internal sealed class RequestLabels
{
    /// <summary>
    /// Maximum bytes of all metadata as JSON. A request may have nine times as many; pairs that no longer fit are left out of its record.
    /// </summary>
    public const int MaxMetadataBytes = 6 * 1024;

    private readonly List<KeyValuePair<string, string>> _metadata = [];
    private int _bytes;

    /// <summary>The value of <c>user</c>, or of <c>metadata.user_id</c> in a request of the Messages dialect.</summary>
    public string? User { get; set; }

    /// <summary>The value of <c>safety_identifier</c>.</summary>
    public string? SafetyIdentifier { get; set; }

    /// <summary>Who caused the request, as its client names them; null if it does not.</summary>
    public string? EndUser => SafetyIdentifier is { Length: > 0 } identifier ? identifier : User is { Length: > 0 } user ? user : null;

    /// <summary>In the order of the request, each key once.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metadata => _metadata;

    /// <summary>Adds a pair; a key that occurs again has its last value.</summary>
    public void Add(string key, string value)
    {
        var known = _metadata.FindIndex(pair => pair.Key == key);
        if (known >= 0)
        {
            _bytes -= BytesOf(key) + BytesOf(_metadata[known].Value);
            _metadata.RemoveAt(known);
        }
        var bytes = BytesOf(key) + BytesOf(value);
        if (_bytes + bytes > MaxMetadataBytes) return;
        _bytes += bytes;
        _metadata.Add(new KeyValuePair<string, string>(key, value));
    }

    // At most, with the quotes and the signs between.
    private static int BytesOf(string text)
    {
        var bytes = 3;
        foreach (var c in text) bytes += c switch { '"' or '\\' => 2, < ' ' => 6, < '\u0080' => 1, _ => 3 };
        return bytes;
    }
}
