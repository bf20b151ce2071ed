namespace Fairlead.Providers.ChatClient;

/// <summary>
/// The token that a builder's code is given. It follows the attempt's, but its callbacks are the builder's: they run on their own, and what they
/// throw reaches neither the clock nor the client's connection that fired. Its source is never used again nor disposed, so the token may be kept.
/// </summary>
internal sealed class BuilderToken : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly CancellationTokenRegistration _registration;

    public BuilderToken(CancellationToken attempt) =>
        _registration = attempt.UnsafeRegister(static state => ((BuilderToken)state!).Stop(), this);

    public CancellationToken Token => _source.Token;

    /// <summary>Fires the token; returns at once.</summary>
    public void Stop()
    {
        if (!_source.IsCancellationRequested) _ = ObserveAsync(_source.CancelAsync());
    }

    /// <summary>Stops following the attempt's token.</summary>
    public void Dispose() => _registration.Dispose();

    private static async Task ObserveAsync(Task callbacks) => await callbacks.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
