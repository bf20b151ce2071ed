using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Checks the output while it is generated. It is after the cache, so that nothing is kept that a rule forbids, and before everything that
/// makes or continues the output, so that a text that two providers wrote is one text. Thread-safe.
/// </summary>
internal sealed class PolicyOutputStage : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.Policy is { ReadsOutput: true } policy && call.Operation == Operation.Chat
            ? GuardAsync(call, policy, next, cancellationToken)
            : next(call, cancellationToken);

    private static async ValueTask<GatewayReply> GuardAsync(
        GatewayCall call, CallPolicy policy, GatewayStep next, CancellationToken cancellationToken)
    {
        call.MustTranslate = true;
        switch (await next(call, cancellationToken))
        {
            case GatewayReply.Streaming streaming:
                return new GatewayReply.Streaming(new GuardedEvents(call, policy, streaming.Events));
            case GatewayReply.Complete complete:
                return new GatewayReply.Complete(await CheckAsync(call, policy, complete.Response, cancellationToken));
            case GatewayReply.NativeBody native:
                native.Body.Dispose();
                throw new InvalidOperationException("A native response cannot be checked by a content policy.");
            case var other:
                return other;
        }
    }

    private static async ValueTask<ModelResponse> CheckAsync(
        GatewayCall call, CallPolicy policy, ModelResponse response, CancellationToken cancellationToken)
    {
        using var made = new EventBatch();
        using var passed = new EventBatch();
        using var filter = new OutputFilter(call, policy);
        ResponseEvents.Add(response, report: null, made);
        // Those that follow one that is stopped end too.
        foreach (var choice in response.Choices) filter.Expect(choice.Index);
        foreach (var item in made.Items)
        {
            await filter.AddAsync(item.Event!, passed, cancellationToken);
            if (filter.IsBlocked) break;
        }
        await filter.CompleteAsync(passed, cancellationToken);
        var builder = new OutputBuilder();
        foreach (var item in passed.Items) builder.Add(item.Event!);
        var whole = builder.Build();
        return filter.StoppedCall is { } stopped ? Without(whole, stopped.Choice, stopped.Index) : whole;
    }

    // Half of the arguments are no call.
    private static ModelResponse Without(ModelResponse response, int choice, int index) => response with
    {
        Choices =
        [
            .. response.Choices.Select(one => one.Index != choice ? one : one with
            {
                Parts = [.. one.Parts.Where(part => part is not ToolCallPart || !ReferenceEquals(part, CallAt(one, index)))],
            }),
        ],
    };

    private static ToolCallPart? CallAt(OutputChoice choice, int index) => choice.Parts.OfType<ToolCallPart>().ElementAtOrDefault(index);
}
