using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.StructuredOutput;

/// <summary>
/// Reads a JSON document while it is written, piece by piece, and gives every value as soon as it is complete: numbers when what follows shows that they have
/// ended, objects and arrays when they close. A value is given only when it satisfies a schema that may stand at its place; the whole only at the end. Not thread-safe.
/// </summary>
internal sealed class PartialJson(OutputSchema schema) : IDisposable
{
    private const int MaxDepth = 128;

    /// <summary>How finished documents are read, so that both ways of reading refuse the same.</summary>
    public static readonly JsonDocumentOptions DocumentOptions = new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false };

    private readonly PooledBuffer _text = new(1024);
    private readonly List<Frame> _frames = [];
    private JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = MaxDepth });
    private int _read;

    // A schema is a caller's program: when showing values has cost this much, the rest waits for the end.
    private int _budget = SchemaCheck.Budget;
    private bool _isBroken;
    private bool _isInString;

    /// <summary>All that was written so far.</summary>
    public string Text => Encoding.UTF8.GetString(_text.WrittenSpan);

    /// <summary>Takes the next piece; values that it completes are added to <paramref name="found"/>, inner ones before those around them.</summary>
    public void Add(string piece, List<PartialValue> found)
    {
        Encoding.UTF8.GetBytes(piece, _text);
        // A long text would be looked at from its beginning with every piece of it; only its end matters.
        if (_isBroken || (_isInString && !piece.Contains('"', StringComparison.Ordinal))) return;
        Read(isFinal: false, found);
    }

    /// <summary>The document is finished: what is wrong with it, or nothing; then the last value found is the whole.</summary>
    public IReadOnlyList<SchemaViolation> Finish(List<PartialValue> found)
    {
        if (!_isBroken) Read(isFinal: true, found);
        var violations = schema.Check(_text.WrittenMemory);
        if (violations.Count == 0) found.Add(new PartialValue("", OneLine(_text.WrittenSpan)));
        return violations;
    }

    public void Dispose() => _text.Dispose();

    private void Read(bool isFinal, List<PartialValue> found)
    {
        var rest = _text.WrittenSpan[_read..];
        var json = new Utf8JsonReader(rest, isFinal, _state);
        try
        {
            while (json.Read()) Take(ref json, found);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Not JSON, or a name that is no Unicode. The end will tell.
            _isBroken = true;
            return;
        }
        _read += (int)json.BytesConsumed;
        _state = json.CurrentState;
        var open = rest[(int)json.BytesConsumed..].TrimStart(" \t\r\n,:"u8);
        _isInString = !open.IsEmpty && open[0] == '"';
    }

    private void Take(ref Utf8JsonReader json, List<PartialValue> found)
    {
        var start = _read + (int)json.TokenStartIndex;
        switch (json.TokenType)
        {
            case JsonTokenType.StartObject or JsonTokenType.StartArray:
                _frames.Add(new Frame(start, json.TokenType == JsonTokenType.StartArray, Here()));
                break;
            case JsonTokenType.PropertyName:
                _frames[^1].Name = json.GetString()!;
                break;
            case JsonTokenType.EndObject or JsonTokenType.EndArray:
                var closed = _frames[^1];
                _frames.RemoveAt(_frames.Count - 1);
                Complete(closed.Start, _read + (int)json.BytesConsumed, closed.Schema, found);
                break;
            default:
                Complete(start, _read + (int)json.BytesConsumed, Here(), found);
                break;
        }
    }

    /// <summary>What the value that begins here has to satisfy.</summary>
    private SchemaNode Here()
    {
        if (_frames.Count == 0) return schema.Root;
        var around = _frames[^1];
        if (around.Schema.IsNever || _budget <= 0) return SchemaNode.Never;
        return around.IsArray ? around.Schema.Inside(one => one.Item(around.Index), ref _budget) : around.Schema.Inside(one => one.Member(around.Name), ref _budget);
    }

    private void Complete(int start, int end, SchemaNode here, List<PartialValue> found)
    {
        // The whole waits for the end: something may follow it.
        if (_frames.Count == 0) return;
        var pointer = Pointer();
        if (_frames[^1].IsArray) _frames[^1].Index++;
        if (here.IsNever || _budget <= 0) return;
        var bytes = _text.WrittenMemory[start..end];
        try
        {
            using var value = JsonDocument.Parse(bytes, DocumentOptions);
            if (here.Accepts(value.RootElement, ref _budget)) found.Add(new PartialValue(pointer, OneLine(bytes.Span)));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // A name that stands there twice, or no Unicode.
        }
    }

    private string Pointer()
    {
        var pointer = "";
        foreach (var frame in _frames) pointer = frame.IsArray ? $"{pointer}/{frame.Index.ToString(CultureInfo.InvariantCulture)}" : SchemaNode.Under(pointer, frame.Name);
        return pointer;
    }

    // Line ends stand only between the tokens of JSON, never in them (RFC 8259, section 7).
    private static string OneLine(ReadOnlySpan<byte> json) => Encoding.UTF8.GetString(json.Trim(" \t\r\n"u8)).Replace('\n', ' ').Replace('\r', ' ');

    private sealed class Frame(int start, bool isArray, SchemaNode schema)
    {
        public int Start => start;

        public bool IsArray => isArray;

        public SchemaNode Schema => schema;

        public string Name { get; set; } = "";

        public int Index { get; set; }
    }
}
