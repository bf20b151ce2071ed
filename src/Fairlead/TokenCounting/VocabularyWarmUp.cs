using Microsoft.Extensions.Hosting;

namespace Fairlead.TokenCounting;

/// <summary>Loads the common vocabulary after the start, beside the first calls, so that neither the start nor most first counts wait for it.</summary>
internal sealed class VocabularyWarmUp(IHostApplicationLifetime lifetime) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        lifetime.ApplicationStarted.Register(static () => ThreadPool.UnsafeQueueUserWorkItem(static _ => Vocabulary.O200k.Load(), null));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
