namespace Fairlead.Policies.Matching;

/// <summary>
/// Follows the tokens of JSON that arrives in pieces, and says whether the next one may stand there. Documents may follow one another. One
/// owner.
/// </summary>
internal sealed class JsonGrammar
{
    private const int MaxDepth = 1024;

    // What contains the place: true for an object.
    private readonly Stack<bool> _containers = new();
    private Place _place = Place.Value;

    private enum Place
    {
        Value,
        ValueOrEnd,
        Key,
        KeyOrEnd,
        Colon,
        CommaOrEnd,
        Done,
    }

    /// <summary>Takes one of <c>{}[],:</c>. False if it cannot stand here.</summary>
    public bool TryTake(char structure)
    {
        switch (structure)
        {
            case '{' or '[' when (_place is Place.Value or Place.ValueOrEnd or Place.Done) && _containers.Count < MaxDepth:
                _containers.Push(structure == '{');
                _place = structure == '{' ? Place.KeyOrEnd : Place.ValueOrEnd;
                return true;
            case '}' when _place is Place.KeyOrEnd || (_place == Place.CommaOrEnd && _containers.Peek()):
            case ']' when _place is Place.ValueOrEnd || (_place == Place.CommaOrEnd && !_containers.Peek()):
                _containers.Pop();
                EndValue();
                return true;
            case ',' when _place == Place.CommaOrEnd:
                _place = _containers.Peek() ? Place.Key : Place.Value;
                return true;
            case ':' when _place == Place.Colon:
                _place = Place.Value;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Takes the start of a string.</summary>
    public bool TryTakeString()
    {
        if (_place is Place.Key or Place.KeyOrEnd)
        {
            _place = Place.Colon;
            return true;
        }
        return TryTakeScalar();
    }

    /// <summary>Takes a number or literal.</summary>
    public bool TryTakeScalar()
    {
        if (!TakesScalar) return false;
        EndValue();
        return true;
    }

    /// <summary>Whether a number or literal may stand here.</summary>
    public bool TakesScalar => _place is Place.Value or Place.ValueOrEnd;

    private void EndValue() => _place = _containers.Count == 0 ? Place.Done : Place.CommaOrEnd;
}

/// <summary>Whether characters are one number or literal of JSON, with white space around it. They may arrive one by one.</summary>
internal struct JsonScalar
{
    private const int Literal = 20;
    private const int Over = 30;

    private string? _word;
    private int _state;

    /// <summary>Whether nothing but white space was taken.</summary>
    public readonly bool IsEmpty => _state == 0;

    /// <summary>Whether what was taken is complete.</summary>
    public readonly bool IsWhole => _state is 2 or 3 or 5 or 8 or Over || (_word is not null && _state == Literal + _word.Length);

    /// <summary>Takes the next character. False if it is neither.</summary>
    public bool TryTake(char c)
    {
        if (c is ' ' or '\t' or '\r' or '\n')
        {
            if (IsEmpty) return true;
            if (!IsWhole) return false;
            _state = Over;
            return true;
        }
        if (_state == 0 && (c is 't' or 'f' or 'n')) _word = c == 't' ? "true" : c == 'f' ? "false" : "null";
        if (_word is { } word)
        {
            var at = _state == 0 ? 0 : _state - Literal;
            if (_state == Over || at >= word.Length || word[at] != c) return false;
            _state = Literal + at + 1;
            return true;
        }
        var isDigit = char.IsAsciiDigit(c);
        var next = _state switch
        {
            0 => c == '-' ? 1 : c == '0' ? 2 : isDigit ? 3 : -1,
            1 => c == '0' ? 2 : isDigit ? 3 : -1,
            2 => c == '.' ? 4 : c is 'e' or 'E' ? 6 : -1,
            3 => isDigit ? 3 : c == '.' ? 4 : c is 'e' or 'E' ? 6 : -1,
            4 => isDigit ? 5 : -1,
            5 => isDigit ? 5 : c is 'e' or 'E' ? 6 : -1,
            6 => c is '+' or '-' ? 7 : isDigit ? 8 : -1,
            7 or 8 => isDigit ? 8 : -1,
            _ => -1,
        };
        if (next < 0) return false;
        _state = next;
        return true;
    }
}
