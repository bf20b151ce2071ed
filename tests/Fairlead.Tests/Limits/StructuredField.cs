using System.Globalization;
using System.Text;

namespace Fairlead.Tests.Limits;

/// <summary>An item of a list: a string with parameters.</summary>
internal sealed record FieldItem(string Name, IReadOnlyDictionary<string, object> Parameters);

/// <summary>
/// A strict parser of the lists of strings with parameters of RFC 9651, section 4.2, written from the RFC and not from the writer. It throws
/// where the RFC says that parsing fails.
/// </summary>
internal sealed class StructuredField
{
    private readonly string _text;
    private int _at;

    private StructuredField(string text) => _text = text;

    public static IReadOnlyList<FieldItem> ParseList(string text) => new StructuredField(text).List();

    private List<FieldItem> List()
    {
        var items = new List<FieldItem>();
        while (_at < _text.Length && _text[_at] == ' ') _at++;
        while (_at < _text.Length)
        {
            items.Add(Item());
            SkipWhitespace();
            if (_at == _text.Length) return items;
            Expect(',');
            SkipWhitespace();
            if (_at == _text.Length) throw new FormatException("A comma at the end.");
        }
        return items;
    }

    private FieldItem Item()
    {
        var name = String();
        var parameters = new Dictionary<string, object>(StringComparer.Ordinal);
        while (_at < _text.Length && _text[_at] == ';')
        {
            _at++;
            while (_at < _text.Length && _text[_at] == ' ') _at++;
            var key = Key();
            object value = true;
            if (_at < _text.Length && _text[_at] == '=')
            {
                _at++;
                value = Bare();
            }
            parameters[key] = value;
        }
        return new FieldItem(name, parameters);
    }

    private object Bare() => _text[_at] switch
    {
        '"' => String(),
        ':' => Bytes(),
        '-' or (>= '0' and <= '9') => Integer(),
        _ => throw new FormatException($"Unexpected {_text[_at]}."),
    };

    private string Key()
    {
        var start = _at;
        if (_at == _text.Length || _text[_at] is not (>= 'a' and <= 'z' or '*')) throw new FormatException("A key starts with a lower-case letter or *.");
        while (_at < _text.Length && _text[_at] is >= 'a' and <= 'z' or >= '0' and <= '9' or '_' or '-' or '.' or '*') _at++;
        return _text[start.._at];
    }

    private string String()
    {
        Expect('"');
        var value = new StringBuilder();
        while (true)
        {
            var letter = _text[_at++];
            if (letter == '"') return value.ToString();
            if (letter is < ' ' or > '~') throw new FormatException("Not printable ASCII.");
            if (letter == '\\')
            {
                letter = _text[_at++];
                if (letter is not ('"' or '\\')) throw new FormatException("Unknown escape.");
            }
            value.Append(letter);
        }
    }

    private byte[] Bytes()
    {
        Expect(':');
        var end = _text.IndexOf(':', _at);
        var bytes = Convert.FromBase64String(_text[_at..end]);
        _at = end + 1;
        return bytes;
    }

    private long Integer()
    {
        var start = _at;
        if (_text[_at] == '-') _at++;
        var digits = _at;
        while (_at < _text.Length && char.IsAsciiDigit(_text[_at])) _at++;
        if (_at - digits is 0 or > 15) throw new FormatException("An integer has 1 to 15 digits.");
        return long.Parse(_text.AsSpan(start, _at - start), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
    }

    private void SkipWhitespace()
    {
        while (_at < _text.Length && _text[_at] is ' ' or '\t') _at++;
    }

    private void Expect(char letter)
    {
        if (_at == _text.Length || _text[_at] != letter) throw new FormatException($"Expected {letter} at {_at} of {_text}.");
        _at++;
    }
}
