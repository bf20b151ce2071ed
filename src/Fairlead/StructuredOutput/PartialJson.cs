using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Streaming;

namespace Fairlead.StructuredOutput;

/// <summary>
/// Reads a JSON document while it is generated, chunk by chunk, and returns every value as soon as it is complete: numbers when the next
/// character shows that they have ended, objects and arrays when they close. A value is returned only if it satisfies a schema of its
/// location; the whole only at the end. Not thread-safe.
/// </summary>
internal sealed class PartialJson(OutputSchema schema) : IDisposable
{
    private const int MaxDepth = 128;

    /// <summary>Maximum characters of a pointer: each value repeats the names around it.</summary>
    private const int LongestPointer = 2000;

    /// <summary>How finished documents are read, so that both ways of reading refuse the same.</summary>
    public static readonly JsonDocumentOptions DocumentOptions = new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false };

    private static readonly SearchValues<char> NumberLetters = SearchValues.Create("0123456789+-.eE");

    private readonly PooledBuffer _text = new(1024);
    private readonly List<Frame> _frames = [];
    private JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = MaxDepth });
    private int _read;

    // A schema is a caller's program: when checking values has cost this much, the rest waits for the end.
    private int _budget = SchemaCheck.BudgetFor(0);
    private long _spent;
    private bool _isBroken;

    // The kind of token at the end of the text so far.
    private Open _open;
    private bool _isEscaped;

    private enum Open
    {
        Nothing,
        String,
        Number,
    }

    /// <summary>The text so far.</summary>
    public string Text => Encoding.UTF8.GetString(_text.WrittenSpan);

    /// <summary>
    /// Adds the next chunk; appends the values that it completes to <paramref name="found"/>, inner ones before those around them.
    /// </summary>
    public void Add(string piece, List<PartialValue> found)
    {
        Encoding.UTF8.GetBytes(piece, _text);
        Grant(piece.Length);
        // Without this, every chunk would rescan a long string or number from its start; only its end matters.
        if (_isBroken || !MayEndIn(piece)) return;
        Read(isFinal: false, found);
    }

    /// <summary>The document is finished: returns the violations. If there are none, the last value found is the whole.</summary>
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
            // Not JSON, or a name that is not Unicode. The end of the document reports it.
            _isBroken = true;
            return;
        }
        _read += (int)json.BytesConsumed;
        _state = json.CurrentState;
        NoteOpen(rest[(int)json.BytesConsumed..].TrimStart(" \t\r\n,:"u8));
    }

    private void NoteOpen(ReadOnlySpan<byte> open)
    {
        _open = open.IsEmpty ? Open.Nothing
            : open[0] switch { (byte)'"' => Open.String, (byte)'-' or (>= (byte)'0' and <= (byte)'9') => Open.Number, _ => Open.Nothing };
        if (_open != Open.String) return;
        _isEscaped = false;
        for (var i = 1; i < open.Length; i++) _isEscaped = !_isEscaped && open[i] == '\\';
    }

    /// <summary>Whether the open value may end in the chunk.</summary>
    private bool MayEndIn(ReadOnlySpan<char> piece)
    {
        switch (_open)
        {
            case Open.String:
                foreach (var letter in piece)
                {
                    if (letter == '"' && !_isEscaped) return true;
                    _isEscaped = !_isEscaped && letter == '\\';
                }
                return false;
            case Open.Number:
                return piece.ContainsAnyExcept(NumberLetters);
            default:
                return true;
        }
    }

    // The budget grows with the text: the rest of it brings its own.
    private void Grant(int characters)
    {
        var granted = Math.Min(SchemaCheck.BudgetFor(int.MaxValue) - _spent - _budget, 32L * characters);
        if (granted > 0 && _budget > 0) _budget += (int)granted;
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

    /// <summary>The schema for the value that starts here.</summary>
    private SchemaNode Here()
    {
        if (_frames.Count == 0) return schema.Root;
        var around = _frames[^1];
        if (around.Schema.IsNever || _budget <= 0) return SchemaNode.Never;
        return around.IsArray ? around.Schema.Inside(one => one.Item(around.Index), ref _budget)
            : around.Schema.Inside(one => one.Member(around.Name), ref _budget);
    }

    private void Complete(int start, int end, SchemaNode here, List<PartialValue> found)
    {
        // The whole waits for the end: more text may follow.
        if (_frames.Count == 0) return;
        var pointer = here.IsNever || _budget <= 0 ? null : Pointer();
        if (_frames[^1].IsArray) _frames[^1].Index++;
        if (pointer is null) return;
        // A value is read again for each level around it.
        var before = _budget;
        _budget -= (end - start) / 16;
        var bytes = _text.WrittenMemory[start..end];
        try
        {
            using var value = JsonDocument.Parse(bytes, DocumentOptions);
            if (here.Accepts(value.RootElement, ref _budget)) found.Add(new PartialValue(pointer, OneLine(bytes.Span)));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // A repeated name, or not Unicode.
        }
        _spent += before - _budget;
    }

    /// <summary>The location of the value; null when computing it costs so much that the value waits for the end.</summary>
    private string? Pointer()
    {
        var pointer = new StringBuilder();
        foreach (var frame in _frames)
        {
            if (pointer.Length + (frame.IsArray ? 10 : frame.Name.Length) > LongestPointer) return null;
            pointer.Append('/');
            if (frame.IsArray) pointer.Append(CultureInfo.InvariantCulture, $"{frame.Index}");
            else pointer.Append(SchemaNode.Escaped(frame.Name));
        }
        return pointer.ToString();
    }

    // Line ends occur only between the tokens of JSON, never in them (RFC 8259, section 7).
    private static string OneLine(ReadOnlySpan<byte> json) => Encoding.UTF8.GetString(json.Trim(" \t\r\n"u8)).Replace('\n', ' ')
        .Replace('\r', ' ');

    private sealed class Frame(int start, bool isArray, SchemaNode schema)
    {
        public int Start => start;

        public bool IsArray => isArray;

        public SchemaNode Schema => schema;

        public string Name { get; set; } = "";

        public int Index { get; set; }
    }
}
