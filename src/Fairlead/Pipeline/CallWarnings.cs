namespace Fairlead.Pipeline;

/// <summary>
/// The warnings of one call: at most <see cref="Max"/>, and one more that counts the rest. A client can cause any number of them, so the
/// cost of adding one does not depend on their number. Thread-safe.
/// </summary>
internal sealed class CallWarnings
{
    public const int Max = 20;

    /// <summary>Code of the warning that counts those that are not listed; always the last of the list.</summary>
    public const string Omitted = "warnings_omitted";

    /// <summary>Beyond this, equal warnings are counted more than once, so that their memory has a limit.</summary>
    private const int MaxRemembered = 100_000;

    private readonly Lock _gate = new();
    private readonly List<CallWarning> _listed = new(4);
    private HashSet<ulong>? _rest;
    private long _uncounted;
    private CallWarning[]? _snapshot;

    /// <summary>An immutable list.</summary>
    public IReadOnlyList<CallWarning> Snapshot
    {
        get
        {
            if (Volatile.Read(ref _snapshot) is { } known) return known;
            lock (_gate) return _snapshot ??= Make();
        }
    }

    /// <summary>
    /// Adds a warning once, in the order of the codes, because which of several is found first depends on how far a stream is read ahead.
    /// If there are too many, the last warning of the code with the most warnings is dropped, so that every code is listed.
    /// </summary>
    public void Add(string code, string message)
    {
        var warning = new CallWarning(code, message);
        lock (_gate)
        {
            if (_listed.Contains(warning)) return;
            if (_listed.Count == Max && (_rest?.Contains(HashOf(warning)) == true || !MakeRoomFor(code)))
            {
                Omit(warning);
                return;
            }
            var at = _listed.Count;
            while (at > 0 && string.CompareOrdinal(_listed[at - 1].Code, code) > 0) at--;
            _listed.Insert(at, warning);
            Volatile.Write(ref _snapshot, null);
        }
    }

    private bool MakeRoomFor(string code)
    {
        var (last, most) = (-1, 1);
        for (var i = 0; i < _listed.Count;)
        {
            var end = i + 1;
            while (end < _listed.Count && _listed[end].Code == _listed[i].Code) end++;
            if (_listed[i].Code == code) return false;
            if (end - i > most) (last, most) = (end - 1, end - i);
            i = end;
        }
        if (last < 0) return false;
        var dropped = _listed[last];
        _listed.RemoveAt(last);
        Omit(dropped);
        return true;
    }

    private void Omit(CallWarning warning)
    {
        _rest ??= [];
        if (_rest.Count >= MaxRemembered) _uncounted++;
        else if (!_rest.Add(HashOf(warning))) return;
        Volatile.Write(ref _snapshot, null);
    }

    // A hash of each is enough to count it once, even if a second attempt finds it again.
    private static ulong HashOf(CallWarning warning)
    {
        var hash = 0xCBF29CE484222325;
        foreach (var letter in warning.Code) hash = (hash ^ letter) * 0x100000001B3;
        foreach (var letter in warning.Message) hash = (hash ^ letter) * 0x100000001B3;
        return hash;
    }

    private CallWarning[] Make()
    {
        var omitted = (_rest?.Count ?? 0) + _uncounted;
        if (omitted == 0) return [.. _listed];
        var message = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{omitted} more warnings are not listed.");
        return [.. _listed, new CallWarning(Omitted, message)];
    }
}
