using Microsoft.Extensions.Logging;

namespace Fairlead.Access.Tokens;

/// <summary>
/// The signing keys of one issuer. They are read at the first token, again every hour, and when a token names a key that is not among them:
/// the issuer may have a new one. Tokens with invented key ids cannot cause more than one read in <see cref="MinInterval"/>. While the issuer
/// is unavailable, the keys read last stay in use. Thread-safe.
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

    /// <summary>Age at which keys are read again, so that a key that the issuer withdrew is forgotten.</summary>
    internal static readonly TimeSpan MaxAge = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private volatile IssuerKeySet? _current = before is not null && before.HasSource(issuer) ? before._current : null;
    private Task? _reading;
    private long? _startedAt;

    public IssuerConfig Issuer => issuer;

    /// <summary>The keys, after they were read again if the token needs that; null if none could ever be read.</summary>
    public async ValueTask<IssuerKeySet?> ForAsync(string? keyId, CancellationToken cancellationToken)
    {
        var known = _current;
        var mustWait = known is null || !known.Has(keyId);
        var reading = Start(mustWait);
        if (mustWait && reading is not null)
        {
            // Not longer than one read, whose time is limited.
            await reading.WaitAsync(cancellationToken);
        }
        return _current;
    }

    private bool HasSource(IssuerConfig other) =>
        (issuer.Issuer, issuer.JwksUri, issuer.Authority) == (other.Issuer, other.JwksUri, other.Authority);

    private Task? Start(bool isNeeded)
    {
        lock (_lock)
        {
            if (_reading is { IsCompleted: false }) return _reading;
            var age = _startedAt is { } started ? time.GetElapsedTime(started) : TimeSpan.MaxValue;
            if (age < (!isNeeded ? MaxAge : _current is null ? FirstInterval : MinInterval)) return null;
            _startedAt = time.GetTimestamp();
            return _reading = Task.Run(ReadAsync);
        }
    }

    private async Task ReadAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(IssuerKeyReader.Timeout, time);
            var read = await reader.ReadAsync(issuer, limit.Token);
            _current = read;
            AccessLog.IssuerKeysRead(logger, name, read.Keys.Count);
        }
        catch (Exception exception) when (exception is HttpRequestException or FormatException or OperationCanceledException or IOException)
        {
            AccessLog.IssuerUnavailable(logger, name, exception is OperationCanceledException ? "no response in time" : exception.Message);
        }
    }
}
