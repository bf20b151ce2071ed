namespace Fairlead.Providers.ChatClient;

/// <summary>
/// The token that the application's code receives. It follows the attempt's token, but runs the application's callbacks on their own: their
/// exceptions reach neither the timer nor the client's connection. Its source is neither reused nor disposed, so the token may be kept.
/// </summary>
internal sealed class BuilderToken : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly CancellationTokenRegistration _registration;

    public BuilderToken(CancellationToken attempt) =>
        _registration = attempt.UnsafeRegister(static state => ((BuilderToken)state!).Stop(), this);

    public CancellationToken Token => _source.Token;

    /// <summary>Cancels the token; returns at once.</summary>
    public void Stop()
    {
        if (!_source.IsCancellationRequested) _ = ObserveAsync(_source.CancelAsync());
    }

    /// <summary>Stops following the attempt's token.</summary>
    public void Dispose() => _registration.Dispose();

    private static async Task ObserveAsync(Task callbacks) => await callbacks.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
