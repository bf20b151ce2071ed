using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>
/// Reads a request's JSON once: a <see cref="Utf8JsonReader"/> that limits depth, rejects half surrogates (no decoder could read them
/// later) and reads typed fields with their errors. JSON <c>null</c> counts as absent.
/// </summary>
/// <remarks>
/// Throws <see cref="GatewayErrorException"/> for errors and <see cref="JsonException"/> for text that is not JSON; run it inside <see
/// cref="Run"/>.
/// </remarks>
internal ref struct BodyCursor
{
    private readonly ReadOnlySpan<byte> _body;
    private readonly int _maxDepth;
    private Utf8JsonReader _reader;

    private readonly RequestFacts? _facts;

    public BodyCursor(ReadOnlySpan<byte> body, int maxDepth, RequestFacts? facts = null)
    {
        _facts = facts;
        _body = body;
        _maxDepth = maxDepth;
        // This check comes first and names the limit; the reader's own check is a safeguard.
        _reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = maxDepth + 8 });
    }

    public delegate void Pass(ref BodyCursor json, GatewayCall call, RequestBounds bounds);

    /// <summary>Runs one pass over the body of <paramref name="call"/> and converts every exception to an error.</summary>
    public static GatewayError? Run(GatewayCall call, RequestBounds bounds, Pass pass)
    {
        var body = call.Body.WrittenSpan;
        if (CheckText(body) is { } error) return error;
        try
        {
            var json = new BodyCursor(body, bounds.MaxDepth, call.Facts);
            pass(ref json, call, bounds);
            return null;
        }
        catch (GatewayErrorException refused)
        {
            return refused.Error;
        }
        catch (JsonException malformed)
        {
            return Malformed((malformed.LineNumber ?? 0) + 1, (malformed.BytePositionInLine ?? 0) + 1, "Send one JSON object.");
        }
    }

    public readonly JsonTokenType Token => _reader.TokenType;

    /// <summary>The token's text between the quotes, with its escapes.</summary>
    public readonly ReadOnlySpan<byte> Value => _reader.ValueSpan;

    public readonly bool IsEscaped => _reader.ValueIsEscaped;

    public readonly bool IsNull => _reader.TokenType == JsonTokenType.Null;

    public readonly int Start => (int)_reader.TokenStartIndex;

    /// <summary>First byte after the token.</summary>
    public readonly int End => (int)_reader.BytesConsumed;

    /// <summary>The whole token, quotes included.</summary>
    public readonly ByteRange Range => new(Start, End - Start);

    public readonly ReadOnlySpan<byte> Body => _body;

    /// <summary>Advances to the next token. False at the end of the body.</summary>
    public bool Next()
    {
        if (!_reader.Read()) return false;
        switch (_reader.TokenType)
        {
            case JsonTokenType.StartObject or JsonTokenType.StartArray:
                if (_reader.CurrentDepth >= _maxDepth)
                {
                    throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                        $"The body is nested deeper than {_maxDepth} levels.") { OpenAiCode = "invalid_value" });
                }
                break;
            case JsonTokenType.String or JsonTokenType.PropertyName:
                if (_reader.ValueIsEscaped) CheckEscapes();
                break;
        }
        return true;
    }

    /// <summary>Advances to the root object's start.</summary>
    public void EnterRoot()
    {
        Next();
        if (Token != JsonTokenType.StartObject)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.MalformedJson,
                $"The body must be one JSON object, but it is {Describe()}."));
        }
    }

    /// <summary>Reads the end of the body; anything except white space is an error.</summary>
    public void Leave() => Next();

    /// <summary>Inside an object: advances to the next member's name. False at the object's end.</summary>
    public bool NextMember()
    {
        Next();
        return Token == JsonTokenType.PropertyName;
    }

    /// <summary>Inside an array: advances to the next item. False at the array's end.</summary>
    public bool NextItem()
    {
        Next();
        return Token != JsonTokenType.EndArray;
    }

    /// <summary>Skips the current value with all its content. Ends on its last token.</summary>
    public void Skip()
    {
        if (Token is not (JsonTokenType.StartObject or JsonTokenType.StartArray)) return;
        var depth = _reader.CurrentDepth;
        do
        {
            Next();
        }
        while (_reader.CurrentDepth > depth);
    }

    /// <summary>Skips the current value and returns its range.</summary>
    public ByteRange SkipRange()
    {
        var start = Start;
        Skip();
        return new ByteRange(start, End - start);
    }

    /// <summary>Whether the current name or string equals <paramref name="text"/>, escapes resolved.</summary>
    public readonly bool Is(ReadOnlySpan<byte> text) => _reader.ValueTextEquals(text);

    /// <summary>
    /// The current name or string, escapes resolved; raw when it is longer than <paramref name="scratch"/>, so longer than any known
    /// name.
    /// </summary>
    public readonly ReadOnlySpan<byte> Name(Span<byte> scratch)
    {
        if (!_reader.ValueIsEscaped || _reader.ValueSpan.Length > scratch.Length) return _reader.ValueSpan;
        return scratch[.._reader.CopyString(scratch)];
    }

    public readonly string GetString() => _reader.GetString()!;

    /// <summary>Description of the current token for a message.</summary>
    public readonly string Describe() => Token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => _reader.TryGetInt64(out _) ? "an integer" : "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };

    /// <summary>Rejects anything except an object. False for null.</summary>
    public readonly bool Object(FieldPath path) => Expect(JsonTokenType.StartObject, path, "an object");

    /// <summary>Rejects anything except an array. False for null.</summary>
    public readonly bool Array(FieldPath path) => Expect(JsonTokenType.StartArray, path, "an array");

    /// <summary>Rejects anything except a string. False for null.</summary>
    public readonly bool Text(FieldPath path) => Expect(JsonTokenType.String, path, "a string");

    /// <summary>A required, non-empty string.</summary>
    public readonly void RequiredText(FieldPath path)
    {
        if (!Text(path)) throw RequestErrors.Type(path, "a string", "null");
        if (Value.IsEmpty) throw RequestErrors.EmptyString(path);
    }

    /// <summary>A string of at most <paramref name="maximum"/> characters. False for null.</summary>
    public readonly bool Text(FieldPath path, int maximum)
    {
        if (!Text(path)) return false;
        // A text has at most as many characters as bytes; only a text near the limit is decoded.
        if (Value.Length > maximum && GetString().Length > maximum) throw RequestErrors.TooLong(path, maximum);
        return true;
    }

    public readonly bool? Boolean(FieldPath path) => Token switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Null => null,
        _ => throw RequestErrors.Type(path, "a boolean", Describe()),
    };

    public readonly long? Integer(FieldPath path, long minimum, long maximum)
    {
        if (IsNull) return null;
        if (Token != JsonTokenType.Number) throw RequestErrors.Type(path, "an integer", Describe());
        if (!_reader.TryGetInt64(out var value))
        {
            // Too many digits for 64 bits is an error of range, not of type.
            if (Value.IndexOfAny((byte)'.', (byte)'e', (byte)'E') >= 0) throw RequestErrors.Type(path, "an integer", Describe());
            throw Value[0] == (byte)'-' ? RequestErrors.Below(path, minimum) : RequestErrors.Above(path, maximum);
        }
        if (value < minimum) throw RequestErrors.Below(path, minimum);
        if (value > maximum) throw RequestErrors.Above(path, maximum);
        return value;
    }

    public readonly double? Number(FieldPath path, double minimum, double maximum)
    {
        if (IsNull) return null;
        if (Token != JsonTokenType.Number) throw RequestErrors.Type(path, "a number", Describe());
        if (!_reader.TryGetDouble(out var value)) throw RequestErrors.Type(path, "a number", "a number that is too large");
        if (value < minimum) throw RequestErrors.Below(path, minimum);
        if (value > maximum) throw RequestErrors.Above(path, maximum);
        return value;
    }

    /// <summary>An amount of US dollars above 0. Null for null.</summary>
    public readonly decimal? Money(FieldPath path)
    {
        if (IsNull) return null;
        if (Token != JsonTokenType.Number) throw RequestErrors.Type(path, "a number", Describe());
        if (!_reader.TryGetDecimal(out var value)) throw RequestErrors.Type(path, "a number", "a number that is too large");
        return value > 0 ? value : throw RequestErrors.Value(path, "expected an amount of US dollars above 0.");
    }

    /// <summary>One of a closed list of values. Null for null.</summary>
    public readonly string? Word(FieldPath path, ReadOnlySpan<string> words)
    {
        if (!Text(path)) return null;
        foreach (var word in words)
        {
            if (_reader.ValueTextEquals(word)) return word;
        }
        throw RequestErrors.OneOf(path, words.ToArray());
    }

    /// <summary>
    /// One of a list of values of the dialect's own servers, to which other servers add. Another value is recorded in the facts, because
    /// the deployment decides what to do with it. Null for null.
    /// </summary>
    /// <param name="path">Its position.</param>
    /// <param name="words">The list.</param>
    /// <param name="isRead">Whether a translation reads the field, so that it cannot carry over an unknown value.</param>
    public readonly string? ExtensibleValue(FieldPath path, ReadOnlySpan<string> words, bool isRead = true)
    {
        if (!Text(path)) return null;
        foreach (var word in words)
        {
            if (_reader.ValueTextEquals(word)) return word;
        }
        NoteUnknownValue(RequestErrors.OneOf(path, words.ToArray()).Error, isRead);
        return GetString();
    }

    /// <summary>Records a limit of the dialect's own servers that the request exceeds.</summary>
    public readonly void NoteUnknownValue(GatewayError error, bool isRead)
    {
        if (_facts is null) throw new GatewayErrorException(error);
        if (_facts.UnknownValueError is null || (isRead && !_facts.UnknownValueIsRead)) _facts.UnknownValueError = error;
        _facts.UnknownValueIsRead |= isRead;
    }

    /// <summary>Records a tool whose name is longer than the dialect's own servers accept.</summary>
    public readonly void NoteLongName(GatewayError error)
    {
        if (_facts is null) throw new GatewayErrorException(error);
        _facts.LongToolName ??= error;
    }

    /// <summary>Records the current string if it is a URL that the provider will fetch.</summary>
    public readonly void NoteAddress(FieldPath path)
    {
        if (_facts is not null && Token == JsonTokenType.String) _facts.NoteAddress(Value, IsEscaped, path);
    }

    /// <summary>Skips the current value, which only other servers know, and records the URLs in it.</summary>
    /// <param name="path">Its field, for an error.</param>
    /// <param name="suffix">Only URLs in or below a member whose name ends in this count; empty for all.</param>
    /// <returns>The range of the value.</returns>
    public ByteRange SkipNoting(FieldPath path, ReadOnlySpan<byte> suffix = default)
    {
        var start = Start;
        if (suffix.IsEmpty) NoteAddress(path);
        if (Token is not (JsonTokenType.StartObject or JsonTokenType.StartArray)) return new ByteRange(start, End - start);
        Span<byte> scratch = stackalloc byte[64];
        var depth = _reader.CurrentDepth;
        // URLs at this depth and below it count.
        var since = suffix.IsEmpty ? depth : int.MaxValue;
        do
        {
            Next();
            if (Token == JsonTokenType.PropertyName)
            {
                if (since >= _reader.CurrentDepth) since = Name(scratch).EndsWith(suffix) ? _reader.CurrentDepth : int.MaxValue;
            }
            else if (_reader.CurrentDepth >= since)
            {
                NoteAddress(path);
            }
        }
        while (_reader.CurrentDepth > depth);
        return new ByteRange(start, End - start);
    }

    private readonly bool Expect(JsonTokenType type, FieldPath path, string name)
    {
        if (Token == type) return true;
        if (IsNull) return false;
        throw RequestErrors.Type(path, name, Describe());
    }

    private readonly void CheckEscapes()
    {
        var at = JsonEscapes.FindLoneSurrogate(_reader.ValueSpan);
        if (at >= 0) throw new GatewayErrorException(MalformedAt(_body, Start + 1 + at, "A \\u escape there is half of a surrogate pair."));
    }

    private static GatewayError? CheckText(ReadOnlySpan<byte> body)
    {
        if (body.IsEmpty) return new GatewayError(ErrorCode.MalformedJson, "The body is empty. Send one JSON object.");
        if (body.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
        {
            return Malformed(1, 1, "The body starts with a byte order mark; send UTF-8 without one.");
        }
        if (Utf8.IsValid(body)) return null;
        var at = 0;
        Span<char> letters = stackalloc char[512];
        while (Utf8.ToUtf16(body[at..], letters, out var read, out _,
            replaceInvalidSequences: false) == OperationStatus.DestinationTooSmall)
        {
            at += read;
        }
        Utf8.ToUtf16(body[at..], letters, out var last, out _, replaceInvalidSequences: false);
        return MalformedAt(body, at + last, "The bytes there are not valid UTF-8.");
    }

    private static GatewayError MalformedAt(ReadOnlySpan<byte> body, int offset, string reason)
    {
        var before = body[..Math.Min(offset, body.Length)];
        return Malformed(before.Count((byte)'\n') + 1, before.Length - (before.LastIndexOf((byte)'\n') + 1) + 1, reason);
    }

    private static GatewayError Malformed(long line, long position, string reason) =>
        new(ErrorCode.MalformedJson, $"The body is not valid JSON: reading stopped at line {line}, position {position}. {reason}");
}
