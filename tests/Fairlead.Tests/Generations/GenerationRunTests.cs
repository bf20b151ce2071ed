using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Tests.Limits;

namespace Fairlead.Tests.Generations;

public sealed class GenerationRunTests
{
    private static readonly Postponement Pause = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));

    /// <summary>No other run may follow, so that this one ends, with its reservation and its record.</summary>
    [Fact]
    public async Task Postponement_PartOfAStreamWasReadThatCannotRestart_IsNone()
    {
        using var run = await RunAsync(hasEvents: true);
        Assert.True(run.IsLast);
        Assert.Null(run.Postponement);
    }

    [Fact]
    public async Task Postponement_NothingWasRead_IsThatOfTheCall()
    {
        using var run = await RunAsync(hasEvents: false);
        Assert.False(run.IsLast);
        Assert.Equal(Pause, run.Postponement);
    }

    /// <summary>The reservation waits for another run already, so this one must not end the generation.</summary>
    [Fact]
    public async Task Postponement_EventsShownAfterTheHandover_IsKept()
    {
        using var run = await RunAsync(hasEvents: false);
        run.Call.HandedOver = true;
        await ShowAsync(run);
        Assert.True(run.IsLast);
        Assert.Equal(Pause, run.Postponement);
    }

    private static async Task<GenerationRun> RunAsync(bool hasEvents)
    {
        var call = new GatewayCall("req_1", "gen_01KAR1X2Y3Z4A5B6C7D8E9F0GH", ResponsesDialect.Create(), LimitCalls.CallerOf(), TimeProvider.System)
        {
            Facts = new RequestFacts { Model = "m", Stream = true, Responses = new ResponsesFacts { Background = true } },
            Streams = true,
            QueuedRun = new QueuedRun(1, TimeSpan.Zero),
            Body = new PooledBuffer(),
        };
        var run = new GenerationRun(call, new CallCancellation(null, TimeProvider.System, CancellationToken.None, CancellationToken.None));
        Assert.True(run.CannotRestartStream);
        Assert.True(call.QueuedRun.TryPostpone(call, Pause));
        if (hasEvents) await ShowAsync(run);
        return run;
    }

    private static async Task ShowAsync(GenerationRun run)
    {
        run.Add(new TextDelta("a"));
        run.Events.Written(await run.Events.TakeAsync());
    }
}
