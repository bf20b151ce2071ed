using Fairlead.Storage;

namespace Fairlead.Telemetry;

/// <summary>
/// Whether the database responds. It is asked at most once a second however many probes come, because any client may probe.
/// </summary>
internal sealed class StoreReadinessCheck(IStorage storage, TimeProvider time) : IReadinessCheck, IDisposable
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    private readonly SemaphoreSlim _one = new(1, 1);
    private volatile Answer? _last;

    public string Name => "store";

    public async ValueTask<string?> CheckAsync(CancellationToken cancellationToken)
    {
        if (Known() is { } known) return known.Fault;
        await _one.WaitAsync(cancellationToken);
        try
        {
            if (Known() is { } meanwhile) return meanwhile.Fault;
            var fault = await AskAsync(cancellationToken);
            _last = new Answer(fault, time.GetTimestamp());
            return fault;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private Answer? Known() => _last is { } last && time.GetElapsedTime(last.At) < Fresh ? last : null;

    private async Task<string?> AskAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(Limit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            await using var connection = await storage.OpenAsync(both.Token);
            await connection.Int64Async("SELECT 1", [], both.Token);
            return null;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            return "no response in time";
        }
        // The exception may name paths and hosts; code that needs the store logs it.
        catch (Exception failure) when (
            StorageErrors.IsStoreError(failure) || failure is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return "unavailable";
        }
    }

    private sealed record Answer(string? Fault, long At);
}
