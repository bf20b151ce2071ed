using Microsoft.Extensions.Logging;

namespace Fairlead.Access.Tokens;

/// <summary>
/// The signing keys of one issuer. They are read at the first token, again before they are an hour old, and when a token names a key that is
/// not among them: the issuer may have a new one. Tokens with invented key ids cannot cause more than one read in <see cref="MinInterval"/>.
/// Keys older than an hour are used only after an attempt to read them failed, and never longer than <see cref="MaxUnread"/>. Thread-safe.
/// </summary>
/// <param name="name">Its name in the configuration.</param>
/// <param name="issuer">Its settings.</param>
/// <param name="reader">Reads the keys.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Logs when they can be read and when not.</param>
/// <param name="before">The keys by the settings before these; they stay in use if they are from the same place.</param>
internal sealed class IssuerKeys(string name, IssuerConfig issuer, IssuerKeyReader reader, TimeProvider time, ILogger logger, IssuerKeys? before = null)
{
    /// <summary>Least time between two reads.</summary>
    internal static readonly TimeSpan MinInterval = TimeSpan.FromSeconds(30);

    /// <summary>Least time between two reads while there are no keys at all.</summary>
    internal static readonly TimeSpan FirstInterval = TimeSpan.FromSeconds(5);

    /// <summary>Age at which keys are read again beside the requests, so that usually no request waits for it.</summary>
    internal static readonly TimeSpan RefreshAge = TimeSpan.FromMinutes(50);

    /// <summary>Age at which a request waits for the keys, so that a key that the issuer withdrew is forgotten.</summary>
    internal static readonly TimeSpan MaxAge = TimeSpan.FromHours(1);

    /// <summary>Age at which keys are not used any more, even if the issuer is unavailable.</summary>
    internal static readonly TimeSpan MaxUnread = TimeSpan.FromHours(24);

    private const long Never = -1;

    private readonly Lock _lock = new();
    private volatile ReadSet? _last = before is not null && before.HasSource(issuer) ? before._last : null;
    private Task? _reading;
    private long _startedAt = Never;
    private long _failedAt = Never;

    public IssuerConfig Issuer => issuer;

    /// <summary>The name of the issuer in the configuration.</summary>
    public string Name => name;

    /// <summary>
    /// The keys by which a token that was verified before is still valid; null if they have to be read first. The same object as long as the
    /// issuer has the same keys.
    /// </summary>
    public IssuerKeySet? Current
    {
        get
        {
            if (_last is not { } last) return null;
            var age = time.GetElapsedTime(last.At);
            if (age >= RefreshAge && IsOver(ref _startedAt, age >= MaxAge ? MinInterval : RefreshAge)) Start(age >= MaxAge);
            return age < MaxAge || (age < MaxUnread && !IsOver(ref _failedAt, MinInterval)) ? last.Set : null;
        }
    }

    /// <summary>The keys, after they were read again if the token needs that; null if there are none that may be used.</summary>
    public async ValueTask<IssuerKeySet?> ForAsync(string? keyId, CancellationToken cancellationToken)
    {
        var mustWait = _last is not { } last || time.GetElapsedTime(last.At) >= MaxAge || !last.Set.Has(keyId);
        var reading = Start(mustWait);
        if (mustWait && reading is not null)
        {
            // Not longer than one read, whose time is limited.
            await reading.WaitAsync(cancellationToken);
        }
        return _last is { } now && time.GetElapsedTime(now.At) < MaxUnread ? now.Set : null;
    }

    private bool HasSource(IssuerConfig other) =>
        (issuer.Issuer, issuer.JwksUri, issuer.Authority) == (other.Issuer, other.JwksUri, other.Authority);

    private bool IsOver(ref long since, TimeSpan span) => Volatile.Read(ref since) is var at && (at == Never || time.GetElapsedTime(at) >= span);

    private Task? Start(bool isNeeded)
    {
        lock (_lock)
        {
            if (_reading is { IsCompleted: false }) return _reading;
            if (!IsOver(ref _startedAt, !isNeeded ? RefreshAge : _last is null ? FirstInterval : MinInterval)) return null;
            Volatile.Write(ref _startedAt, time.GetTimestamp());
            return _reading = Task.Run(ReadAsync);
        }
    }

    private async Task ReadAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(IssuerKeyReader.Timeout, time);
            // The age counts from the question: the answer may be as old.
            var at = time.GetTimestamp();
            var read = await reader.ReadAsync(issuer, limit.Token);
            // Equal keys stay one object, so that the tokens that they verified stay known.
            _last = new ReadSet(_last is { } last && last.Set.IsSameAs(read) ? last.Set : read, at);
            AccessLog.IssuerKeysRead(logger, name, read.Keys.Count);
        }
        // Whatever an issuer responds, a request must not end with an internal error.
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Volatile.Write(ref _failedAt, time.GetTimestamp());
            AccessLog.IssuerUnavailable(logger, name, exception is OperationCanceledException ? "no response in time" : exception.Message);
        }
    }

    private sealed record ReadSet(IssuerKeySet Set, long At);
}
