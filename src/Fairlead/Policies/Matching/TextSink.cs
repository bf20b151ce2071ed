using System.Buffers;
using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>Takes the text that a scan lets through.</summary>
internal abstract class TextSink
{
    /// <summary>The next characters of the original.</summary>
    public abstract void Pass(ReadOnlySpan<char> text);

    /// <summary>What stands for characters of the original.</summary>
    /// <param name="text">The placeholder.</param>
    public abstract void Replace(ReadOnlySpan<char> text);

    /// <summary>Characters of the original that the next placeholder stands for.</summary>
    public virtual void Drop(int length)
    {
    }
}

/// <summary>Takes a text that is made of parts, and keeps the parts apart. A placeholder goes to the part in which its match starts.</summary>
internal sealed class PartsSink(IReadOnlyList<string> parts) : TextSink
{
    private readonly StringBuilder[] _changed = [.. parts.Select(part => new StringBuilder(part.Length))];
    private int _part;
    private int _position;
    private int _start;

    /// <summary>Whether something was replaced.</summary>
    public bool IsChanged { get; private set; }

    /// <summary>The parts as they are now.</summary>
    public string PartAt(int index) => _changed[index].ToString();

    public override void Pass(ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            Settle();
            var taken = text[..Math.Min(text.Length, parts[_part].Length - _position)];
            _changed[_part].Append(taken);
            _position += taken.Length;
            text = text[taken.Length..];
        }
    }

    public override void Drop(int length)
    {
        Settle();
        _start = _part;
        while (length > 0)
        {
            Settle();
            var dropped = Math.Min(length, parts[_part].Length - _position);
            if (dropped == 0) break;
            _position += dropped;
            length -= dropped;
        }
    }

    public override void Replace(ReadOnlySpan<char> text)
    {
        IsChanged = true;
        _changed[_start].Append(text);
    }

    // To the part that has the next character.
    private void Settle()
    {
        while (_position == parts[_part].Length && _part + 1 < parts.Count) (_part, _position) = (_part + 1, 0);
    }
}

/// <summary>Writes to a buffer.</summary>
internal sealed class BufferSink : TextSink
{
    /// <summary>The buffer; set before each use.</summary>
    public IBufferWriter<char>? Output { get; set; }

    public override void Pass(ReadOnlySpan<char> text) => Output!.Write(text);

    public override void Replace(ReadOnlySpan<char> text) => Output!.Write(text);
}

/// <summary>Copies a text only from its first replacement on: most texts are unchanged.</summary>
internal sealed class ChangeSink(string original) : TextSink
{
    private StringBuilder? _changed;
    private int _passed;

    /// <summary>The changed text so far; null if it is unchanged.</summary>
    public string? Changed => _changed?.ToString();

    public override void Pass(ReadOnlySpan<char> text)
    {
        if (_changed is null) _passed += text.Length;
        else _changed.Append(text);
    }

    public override void Replace(ReadOnlySpan<char> text)
    {
        _changed ??= new StringBuilder(original.Length + 64).Append(original, 0, _passed);
        _changed.Append(text);
    }
}
