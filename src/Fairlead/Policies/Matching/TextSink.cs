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
