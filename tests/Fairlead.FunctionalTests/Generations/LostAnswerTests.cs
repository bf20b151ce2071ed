using System.Net;
using System.Reflection;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.FunctionalTests.Common;
using Fairlead.Generations;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Generations;

/// <summary>The database has stored a run, but its response to the statement was lost. Nothing runs or is charged a second time.</summary>
public sealed class LostAnswerTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml() + "\n  jobs: { lease: 2s }\n", static (builder, _) =>
        {
            builder.Services.AddSingleton<GenerationInserter>();
            builder.Services.AddSingleton(static services =>
            {
                var store = DispatchProxy.Create<IGenerationInserter, ForgetfulStore>();
                ((ForgetfulStore)(object)store).Inner = services.GetRequiredService<GenerationInserter>();
                return store;
            });
        });
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Wait_StoredRunWithLostDatabaseResponse_RunsOnce()
    {
        var calls = 0;
        var wait = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            Interlocked.Increment(ref calls);
            await FakeUpstream.BeginAsync(context);
            await Task.WhenAny(wait.Task, Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, context.RequestAborted));
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"once"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"x"}]}""", [("Prefer", "respond-async, wait=1")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        wait.SetResult();
        var ended = await EndOfAsync(response.Headers.GetValues("Fairlead-Generation").Single());
        Assert.Equal(("failed", 1), (ended.GetProperty("status").GetString(), calls));
    }

    private async Task<JsonElement> EndOfAsync(string id)
    {
        JsonElement state;
        do state = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel)).RootElement;
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        return state;
    }
}

/// <summary>Stores started runs, and then throws as if the commit were unknown.</summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Performance", "CA1852", Justification = "The proxy is made as a subclass of it.")]
internal class ForgetfulStore : DispatchProxy
{
    public IGenerationInserter Inner { get; set; } = null!;

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        var result = targetMethod!.Invoke(Inner, args);
        return targetMethod.Name == nameof(IGenerationInserter.AddAsync) && args is [GenerationRecord, string, ..] ? LoseAsync((Task)result!) : result;
    }

    private static async Task LoseAsync(Task done)
    {
        await done;
        throw new UnknownCommitException(new StorageException("The response of the database was lost."));
    }
}
