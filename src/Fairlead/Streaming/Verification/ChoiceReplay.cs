namespace Fairlead.Streaming.Verification;

/// <summary>
/// Compares the output of another run with what was sent of one choice. What it reproduces is left out, what follows is new. Not
/// thread-safe.
/// </summary>
/// <param name="sent">What was sent; null for nothing.</param>
internal sealed class ChoiceReplay(ChoiceDigest? sent)
{
    private readonly ChoiceDigest _now = new();
    private readonly long _target = sent?.Length ?? 0;
    private int _compared;

    /// <summary>Whether the run has made another output than what was sent.</summary>
    public bool Differs { get; private set; }

    /// <summary>Whether everything that was sent is reproduced.</summary>
    public bool IsCaughtUp => !Differs && _now.Length == _target;

    /// <summary>Whether the client has seen the choice.</summary>
    public bool WasSent => sent is not null;

    /// <summary>The run continues with a part. True if that is new for the client, or no event at all.</summary>
    public bool Enter(DigestPart part, int index = 0)
    {
        if (IsCaughtUp) return true;
        if (!_now.IsIn(part, index)) Mark(part, index);
        return false;
    }

    /// <summary>The run adds a mark. True if it is new for the client.</summary>
    public bool Mark(DigestPart part, int index = 0)
    {
        if (IsCaughtUp) return true;
        if (Differs) return false;
        _now.Mark(part, index);
        Compare();
        return false;
    }

    /// <summary>The run adds text to the open part.</summary>
    /// <returns>How many of its units the client has.</returns>
    public int Take(ReadOnlySpan<char> text)
    {
        if (Differs) return text.Length;
        var known = (int)Math.Min(text.Length, _target - _now.Length);
        if (known == 0) return 0;
        _now.Add(text[..known]);
        Compare();
        return known;
    }

    /// <summary>The run starts a part whose name is sent as a whole or not at all. True if it is new for the client.</summary>
    public bool TakeStart(DigestPart part, int index, ReadOnlySpan<char> name)
    {
        if (Enter(part, index)) return true;
        if (Take(name) < name.Length) Differs = true;
        return false;
    }

    /// <summary>Notes that the run cannot be compared.</summary>
    public void Fail() => Differs = true;

    private void Compare()
    {
        var both = Math.Min(_now.CheckpointCount, sent!.CheckpointCount);
        for (; _compared < both; _compared++) Differs |= _now.HashAt(_compared) != sent.HashAt(_compared);
        if (_now.Length == _target) Differs |= _now.Hash != sent.Hash;
    }
}
