using System.Buffers;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>
/// One text of an output in progress: its guard, and the end of its text as far as that may be the beginning of a placeholder. A placeholder
/// leaves whole, so that each reader can restore it in each event alone. One owner, who disposes it.
/// </summary>
internal sealed class OutputChannel(CallPolicy policy, ChannelKind kind) : IDisposable
{
    // As long as the longest placeholder.
    private const int MaxHeld = 48;

    private readonly OutputGuard? _guard = policy.Rules.HasOutput
        ? policy.Rules.GuardOutput(kind, policy.Tally, policy.Placeholders, policy.Judge)
        : null;

    private readonly ArrayBufferWriter<char> _passed = new();
    private string _held = "";

    /// <summary>The rule that stopped it; null if none did.</summary>
    public PolicyBlock? Block => _guard?.Block;

    /// <summary>Whether it redacted something: positions in the text changed.</summary>
    public bool HasRedacted => _guard is { HasRedacted: true };

    /// <summary>Whether nothing is held back.</summary>
    public bool IsEmpty => _held.Length == 0 && (_guard is null or { Held: 0 });

    /// <summary>Takes the next piece, and returns what may leave now.</summary>
    public async ValueTask<string> PushAsync(string text, CancellationToken cancellationToken)
    {
        if (_guard is null) return Whole(text);
        _passed.Clear();
        if (_guard.NeedsJudge) await _guard.PushAsync(text.AsMemory(), _passed, cancellationToken);
        else _guard.Push(text, _passed);
        return Whole(Passed(text));
    }

    /// <summary>The text has ended: returns the rest.</summary>
    public async ValueTask<string> CompleteAsync(CancellationToken cancellationToken)
    {
        if (_guard is not null)
        {
            _passed.Clear();
            if (_guard.NeedsJudge) await _guard.CompleteAsync(_passed, cancellationToken);
            else _guard.Complete(_passed);
        }
        var rest = _held + new string(_passed.WrittenSpan);
        _held = "";
        return rest;
    }

    public void Dispose() => _guard?.Dispose();

    // Most pieces pass as they are.
    private string Passed(string text) => _passed.WrittenSpan.SequenceEqual(text) ? text : new string(_passed.WrittenSpan);

    private string Whole(string text)
    {
        if (!policy.Placeholders.HasRestorable) return text;
        if (_held.Length == 0 && text.AsSpan().IndexOfAny('[', '"') < 0) return text;
        var all = _held + text;
        var start = HeldFrom(all);
        _held = start < 0 || all.Length - start > MaxHeld ? "" : all[start..];
        return _held.Length == 0 ? all : all[..start];
    }

    /// <summary>Where the end of a text begins that may be a placeholder, in JSON with the quotes around it; -1 if none does.</summary>
    private int HeldFrom(string all)
    {
        var isJson = kind == ChannelKind.Json;
        if (isJson && all[^1] == '"') return all.Length - 1;
        var isClosed = isJson && all[^1] == ']';
        var start = isClosed ? all.Length - 1 : all.Length;
        while (start > 0 && Label.Contains(all[start - 1])) start--;
        if (start == 0 || all[start - 1] != '[') return -1;
        start--;
        if (isJson && start > 0 && all[start - 1] == '"') return start - 1;
        return isClosed ? -1 : start;
    }

    private static readonly SearchValues<char> Label = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}
