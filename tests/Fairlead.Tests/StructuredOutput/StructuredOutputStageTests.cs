using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.StructuredOutput;
using Fairlead.Tests.Limits;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.StructuredOutput;

/// <summary>What a repair needs of the call.</summary>
public sealed class StructuredOutputStageTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 30, 12, 0, 0, TimeSpan.Zero));

    /// <summary>The first attempt is over, so its timer must not end the wait of the second one for a slot.</summary>
    [Fact]
    public async Task Repair_WaitsLongerThanTheFirstAttemptMight_IsNotCancelled()
    {
        var call = LimitCalls.Of(_time, LimitCalls.CallerOf(), LimitCalls.ModelOf());
        using var cancellation = new CallCancellation(_time.GetUtcNow().AddHours(1), _time, CancellationToken.None, CancellationToken.None);
        call.Cancellation = cancellation;
        call.Conversation = new ConversationRequest { Messages = [] };
        using var schema = JsonDocument.Parse("""{"type":"object"}""");
        call.Facts.Structured = new OutputCheck(OutputSchema.Compile(schema.RootElement, out _)!, Repairs: true) { Field = "output" };
        var stage = new StructuredOutputStage(new AttemptCharge(new TokenCounter()));
        var answers = new Queue<string>(["[1]", "{}"]);
        var reply = await stage.InvokeAsync(call, AnswerAsync, TestContext.Current.CancellationToken);
        Assert.Equal("{}", Assert.IsType<TextPart>(Assert.IsType<GatewayReply.Complete>(reply).Response.Choices[0].Parts[0]).Text);
        Assert.Empty(answers);
        // The deadline of the request still holds.
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(CancellationReason.Deadline, cancellation.Reason);

        ValueTask<GatewayReply> AnswerAsync(GatewayCall asked, CancellationToken cancellationToken)
        {
            if (asked.Attempts.Count > 0)
            {
                _time.Advance(TimeSpan.FromMinutes(30));
                Assert.Equal(CancellationReason.None, cancellation.Reason);
            }
            var attempt = new Attempt($"att_{asked.Attempts.Count + 1}", asked.Attempts.Count + 1, asked.Model.Deployments[0]);
            asked.Attempts.Add(attempt);
            if (attempt.Number == 1) cancellation.Arm(TimeSpan.FromMinutes(10));
            attempt.Meter.Observe(new ChoiceFinished(FinishReason.Stop));
            asked.Answering = attempt;
            var choice = new OutputChoice(0, [new TextPart(answers.Dequeue())], FinishReason.Stop);
            return new(new GatewayReply.Complete(new ModelResponse([choice])));
        }
    }
}
