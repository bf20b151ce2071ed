using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Divides a channel into texts for a <see cref="TextScan"/>. Plain text is one. In JSON, each string without its escapes is one, and what is
/// between strings is divided at <c>{}[],:</c>. From the first token on that cannot stand in JSON, the rest is plain text. One owner.
/// </summary>
internal sealed class TextChannel(TextScan scan, ChannelKind kind)
{
    private static readonly SearchValues<char> Structure = SearchValues.Create("{}[],:\"");

    private readonly JsonGrammar _grammar = new();
    private readonly char[] _escape = new char[6];

    // Between strings: what may be a number or literal is held until it is known to be one, or is too long.
    private readonly char[] _bare = new char[TextScan.LongestBare];
    private int _bareLength;
    private bool _isLong;
    private JsonScalar _scalar;
    private int _escapeLength;
    private State _state = kind == ChannelKind.Json ? State.Start : State.Plain;

    private enum State
    {
        /// <summary>JSON was announced and nothing has arrived.</summary>
        Start,

        /// <summary>Plain text.</summary>
        Plain,

        /// <summary>Between strings.</summary>
        Outside,

        String,
    }

    /// <summary>Characters that are held back.</summary>
    public int Held => scan.Held + _escapeLength + _bareLength;

    /// <summary>Takes a chunk and passes on what can pass. Returns the rule that ends the text, if one does.</summary>
    public PolicyRuleReference? Push(ReadOnlySpan<char> text, TextSink sink)
    {
        while (!text.IsEmpty)
        {
            switch (_state)
            {
                case State.Start:
                    Begin(ref text, sink);
                    break;
                case State.Plain:
                    scan.Append(text);
                    return scan.Advance(sink, isFinal: false);
                case State.Outside:
                    if (TakeOutside(ref text, sink) is { } outside) return outside;
                    break;
                default:
                    if (TakeString(ref text, sink) is { } inside) return inside;
                    break;
            }
        }
        return scan.IsEmpty ? null : scan.Advance(sink, isFinal: false);
    }

    /// <summary>The channel has ended.</summary>
    public PolicyRuleReference? Complete(TextSink sink)
    {
        if (_escapeLength > 0) AddEscape('\uFFFD');
        if (_state == State.Outside && TakeBare(sink) is { } rule) return rule;
        return scan.IsEmpty ? null : scan.Advance(sink, isFinal: true);
    }

    private void Begin(ref ReadOnlySpan<char> text, TextSink sink)
    {
        var start = text.IndexOfAnyExcept(" \t\r\n");
        sink.Pass(start < 0 ? text : text[..start]);
        text = start < 0 ? [] : text[start..];
        if (start < 0) return;
        // What cannot start a value is prose, not JSON.
        var isJson = text[0] is '{' or '[' or '"' or '-' or 't' or 'f' or 'n' || char.IsAsciiDigit(text[0]);
        _state = isJson ? State.Outside : State.Plain;
        scan.Start(isBare: isJson);
    }

    private PolicyRuleReference? TakeOutside(ref ReadOnlySpan<char> text, TextSink sink)
    {
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (!Structure.Contains(c))
            {
                if (_scalar.IsEmpty && (c is ' ' or '\t' or '\r' or '\n'))
                {
                    sink.Pass(text.Slice(i, 1));
                    continue;
                }
                if (!_grammar.TakesScalar || !_scalar.TryTake(c)) return BecomePlain(ref text, i, sink);
                if (!_isLong && _bareLength == _bare.Length) ReleaseBare();
                if (_isLong) scan.Append([c]);
                else _bare[_bareLength++] = c;
                continue;
            }
            if (!_scalar.IsEmpty && !_scalar.IsWhole) return BecomePlain(ref text, i, sink);
            if (TakeBare(sink) is { } rule) return rule;
            var isQuote = c == '"';
            if (!(isQuote ? _grammar.TryTakeString() : _grammar.TryTake(c))) return BecomePlain(ref text, i, sink);
            sink.Pass(text.Slice(i, 1));
            if (!isQuote) continue;
            _state = State.String;
            scan.Start(isBare: false);
            text = text[(i + 1)..];
            return null;
        }
        text = [];
        return null;
    }

    /// <summary>What is held between strings is complete.</summary>
    private PolicyRuleReference? TakeBare(TextSink sink)
    {
        if (_scalar.IsEmpty) return null;
        if (!_isLong && !_scalar.IsWhole)
        {
            // The text ends in the middle of it.
            _state = State.Plain;
            scan.Start(isBare: false);
        }
        else
        {
            _grammar.TryTakeScalar();
        }
        if (!_isLong) scan.Append(_bare.AsSpan(0, _bareLength));
        (_bareLength, _isLong, _scalar) = (0, false, default);
        var rule = Finish(sink);
        scan.Start(isBare: _state == State.Outside);
        return rule;
    }

    private void ReleaseBare()
    {
        scan.Append(_bare.AsSpan(0, _bareLength));
        (_bareLength, _isLong) = (0, true);
    }

    /// <summary>The text was not JSON: the rest, with what is held, is one text.</summary>
    private PolicyRuleReference? BecomePlain(ref ReadOnlySpan<char> text, int at, TextSink sink)
    {
        // A number that was too long to hold is a text of its own.
        if (_isLong && Finish(sink) is { } rule) return rule;
        _state = State.Plain;
        scan.Start(isBare: false);
        if (!_isLong) scan.Append(_bare.AsSpan(0, _bareLength));
        (_bareLength, _isLong, _scalar) = (0, false, default);
        text = text[at..];
        return null;
    }

    private PolicyRuleReference? TakeString(ref ReadOnlySpan<char> text, TextSink sink)
    {
        if (_escapeLength > 0)
        {
            TakeEscape(ref text);
            return null;
        }
        var end = text.IndexOfAny('"', '\\');
        if (end != 0) scan.Append(end < 0 ? text : text[..end]);
        if (end < 0)
        {
            text = [];
            return null;
        }
        if (text[end] == '\\')
        {
            _escape[_escapeLength++] = '\\';
            text = text[(end + 1)..];
            return null;
        }
        if (Finish(sink) is { } rule) return rule;
        sink.Pass("\"");
        _state = State.Outside;
        scan.Start(isBare: true);
        text = text[(end + 1)..];
        return null;
    }

    private void TakeEscape(ref ReadOnlySpan<char> text)
    {
        var c = text[0];
        if (_escapeLength > 1 && !char.IsAsciiHexDigit(c))
        {
            // Not an escape; what follows is read as usual.
            AddEscape('\uFFFD');
            return;
        }
        _escape[_escapeLength++] = c;
        text = text[1..];
        if (_escapeLength == 6) AddEscape((char)Convert.ToUInt16(new string(_escape, 2, 4), 16));
        else if (_escapeLength == 2 && c != 'u') AddEscape(c switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'b' => '\b', 'f' => '\f', _ => c });
    }

    private void AddEscape(char c)
    {
        scan.AppendEscaped(c, _escape.AsSpan(0, _escapeLength));
        _escapeLength = 0;
    }

    private PolicyRuleReference? Finish(TextSink sink) => scan.IsEmpty ? null : scan.Advance(sink, isFinal: true);
}
