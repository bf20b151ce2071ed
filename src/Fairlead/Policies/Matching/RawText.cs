namespace Fairlead.Policies.Matching;

/// <summary>
/// How a text was written in JSON: for each character, its escape. While nothing was escaped, it is the text itself. One owner.
/// </summary>
internal sealed class RawText
{
    private char[] _raw = [];
    private int[] _ends = [];
    private int _rawLength;
    private int _length;

    /// <summary>Whether some character was escaped.</summary>
    public bool IsEscaped { get; private set; }

    /// <summary>The characters of the text from one position to another, as written.</summary>
    public ReadOnlySpan<char> Of(ReadOnlySpan<char> text, int start, int end) =>
        IsEscaped ? _raw.AsSpan(StartOf(start)..StartOf(end)) : text[start..end];

    /// <summary>Characters of the writing from a position of the text on.</summary>
    public int LengthFrom(int textLength, int start) => IsEscaped ? _rawLength - StartOf(start) : textLength - start;

    /// <summary>Adds characters that are written as they are.</summary>
    public void Add(ReadOnlySpan<char> plain)
    {
        if (!IsEscaped) return;
        Reserve(_length + plain.Length, _rawLength + plain.Length);
        plain.CopyTo(_raw.AsSpan(_rawLength));
        foreach (var _ in plain) _ends[_length++] = ++_rawLength;
    }

    /// <summary>Adds the writing of one character.</summary>
    /// <param name="text">The text before it.</param>
    /// <param name="written">How it is written.</param>
    public void AddEscaped(ReadOnlySpan<char> text, ReadOnlySpan<char> written)
    {
        if (!IsEscaped)
        {
            IsEscaped = true;
            _length = _rawLength = 0;
            Add(text);
        }
        Reserve(_length + 1, _rawLength + written.Length);
        written.CopyTo(_raw.AsSpan(_rawLength));
        _rawLength += written.Length;
        _ends[_length++] = _rawLength;
    }

    /// <summary>Forgets the first characters of the text.</summary>
    public void Trim(int count)
    {
        if (!IsEscaped) return;
        var first = StartOf(count);
        Array.Copy(_raw, first, _raw, 0, _rawLength - first);
        for (var i = count; i < _length; i++) _ends[i - count] = _ends[i] - first;
        _length -= count;
        _rawLength -= first;
    }

    public void Clear()
    {
        IsEscaped = false;
        _length = _rawLength = 0;
    }

    private int StartOf(int index) => index == 0 ? 0 : _ends[index - 1];

    private void Reserve(int length, int rawLength)
    {
        if (_ends.Length < length) Array.Resize(ref _ends, Math.Max(length, Math.Max(256, _ends.Length * 2)));
        if (_raw.Length < rawLength) Array.Resize(ref _raw, Math.Max(rawLength, Math.Max(256, _raw.Length * 2)));
    }
}
