using System.Buffers;
using System.Globalization;

namespace Fairlead.Policies.Matching;

/// <summary>
/// The placeholders of one call, such as <c>[EMAIL_1]</c>: numbered from 1 for each label, the same for the same value in every text of the
/// call, input and output. It contains what was redacted, so it must not be logged, cached or audited. Thread-safe.
/// </summary>
internal sealed class Placeholders
{
    /// <summary>Maximum number of different values in a call. Further ones get <c>[EMAIL]</c>, without a number, and cannot be restored.</summary>
    public const int MaxValues = 10_000;

    // Entries of four tables.
    private const int BytesOfEntry = 256;

    private readonly Lock _gate = new();
    private readonly Dictionary<Key, string> _texts = [];
    private readonly Dictionary<string, int> _numbers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, RestorableValue> _restorable = new(StringComparer.Ordinal);
    private readonly HashSet<string> _issued = new(StringComparer.Ordinal);
    private long _bytes;
    private volatile bool _hasRestorable;

    /// <summary>Whether there is a placeholder that readers get restored. While false, a restorer would copy only.</summary>
    public bool HasRestorable => _hasRestorable;

    /// <summary>About how much memory it has.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate) return _bytes;
        }
    }

    /// <summary>The same placeholders for a call that continues this one, which adds its own.</summary>
    public Placeholders Copy()
    {
        var copy = new Placeholders();
        lock (_gate)
        {
            foreach (var (key, text) in _texts) copy._texts.Add(key, text);
            foreach (var (label, number) in _numbers) copy._numbers.Add(label, number);
            foreach (var (text, value) in _restorable) copy._restorable.Add(text, value);
            copy._issued.UnionWith(_issued);
            copy._bytes = _bytes;
            copy._hasRestorable = _hasRestorable;
        }
        return copy;
    }

    /// <summary>Whether a text is a placeholder of this call.</summary>
    public bool IsIssued(ReadOnlySpan<char> placeholder)
    {
        lock (_gate) return _issued.GetAlternateLookup<ReadOnlySpan<char>>().Contains(placeholder);
    }

    /// <summary>Whether a restorable value was found in the input.</summary>
    public bool IsFromInput(string label, ReadOnlySpan<char> value)
    {
        var text = new string(value);
        lock (_gate) return IsFromInput(new Key(label, text, true, false)) || IsFromInput(new Key(label, text, true, true));
    }

    /// <summary>Opens a restorer for one channel of one reader.</summary>
    public PlaceholderRestorer OpenRestorer(ChannelKind kind) => new(this, kind);

    /// <summary>Restores a whole text.</summary>
    public string Restore(string text, ChannelKind kind)
    {
        if (!HasRestorable || !text.Contains('[', StringComparison.Ordinal)) return text;
        var output = new ArrayBufferWriter<char>(text.Length + 64);
        var restorer = OpenRestorer(kind);
        restorer.Push(text, output);
        restorer.Complete(output);
        return output.WrittenSpan.SequenceEqual(text) ? text : new string(output.WrittenSpan);
    }

    /// <summary>Returns the placeholder of a value.</summary>
    /// <param name="label">Its label, a constant of <see cref="PlaceholderText"/>.</param>
    /// <param name="value">What is redacted.</param>
    /// <param name="isRestorable">Whether readers get it back.</param>
    /// <param name="isBare">It is a whole number or literal of JSON: the placeholder is in quotes, which are no part of the value.</param>
    /// <param name="direction">Where the value was found.</param>
    public string TextOf(string label, ReadOnlySpan<char> value, bool isRestorable, bool isBare, PolicyDirection direction)
    {
        var key = new Key(label, new string(value), isRestorable, isBare);
        lock (_gate)
        {
            if (_texts.TryGetValue(key, out var known)) return known;
            if (_texts.Count >= MaxValues) return $"[{label}]";
            var number = _numbers[label] = _numbers.GetValueOrDefault(label) + 1;
            var text = string.Create(CultureInfo.InvariantCulture, $"[{label}_{number}]");
            _texts.Add(key, text);
            _issued.Add(text);
            _bytes += BytesOfEntry + (2L * (key.Value.Length + text.Length));
            if (isRestorable)
            {
                _restorable.Add(text, new RestorableValue(key.Value, isBare, direction == PolicyDirection.Input));
                _hasRestorable = true;
            }
            return text;
        }
    }

    /// <summary>The value of a restorable placeholder.</summary>
    public bool TryGetValue(ReadOnlySpan<char> placeholder, out RestorableValue value)
    {
        lock (_gate) return _restorable.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(placeholder, out value);
    }

    private bool IsFromInput(Key key) =>
        _texts.TryGetValue(key, out var text) && _restorable.TryGetValue(text, out var value) && value.IsFromInput;

    private readonly record struct Key(string Label, string Value, bool IsRestorable, bool IsBare);
}

/// <summary>What a placeholder stands for.</summary>
/// <param name="Value">The text without the escapes of JSON.</param>
/// <param name="IsBare">In JSON, the quotes around the placeholder are no part of the text.</param>
/// <param name="IsFromInput">The model has seen the placeholder, so its output may repeat it.</param>
internal readonly record struct RestorableValue(string Value, bool IsBare, bool IsFromInput);
