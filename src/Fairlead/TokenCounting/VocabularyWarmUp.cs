using Microsoft.Extensions.Hosting;

namespace Fairlead.TokenCounting;

/// <summary>Loads the common vocabulary during the start, so that the first calls need not wait for it.</summary>
internal sealed class VocabularyWarmUp : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        Vocabulary.O200k.LoadInBackground();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
