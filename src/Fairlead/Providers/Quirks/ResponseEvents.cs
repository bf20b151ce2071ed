using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Streaming;

namespace Fairlead.Providers.Quirks;

/// <summary>A whole response as the events that its stream would have had: the counterpart of <see cref="OutputBuilder"/>.</summary>
internal static class ResponseEvents
{
    public static void Add(ModelResponse answer, UsageReport? report, EventBatch batch)
    {
        batch.Add(new ResponseStarted { SystemFingerprint = answer.SystemFingerprint, ServiceTier = answer.ServiceTier });
        foreach (var choice in answer.Choices)
        {
            var calls = 0;
            var logprobs = choice.Logprobs;
            foreach (var part in choice.Parts)
            {
                switch (part)
                {
                    case TextPart text:
                        batch.Add(new TextDelta(text.Text) { Choice = choice.Index, Logprobs = logprobs });
                        logprobs = null;
                        break;
                    case ReasoningPart { Redacted: { } redacted }:
                        batch.Add(new ReasoningDelta("") { Choice = choice.Index, Redacted = redacted });
                        break;
                    case ReasoningPart reasoning:
                        batch.Add(new ReasoningDelta(reasoning.Text) { Choice = choice.Index });
                        if (reasoning.Signature is not null)
                        {
                            batch.Add(new ReasoningDelta("") { Choice = choice.Index, Signature = reasoning.Signature });
                        }
                        break;
                    case RefusalPart refusal:
                        batch.Add(new RefusalDelta(refusal.Text) { Choice = choice.Index });
                        break;
                    case ToolCallPart call:
                        batch.Add(new ToolCallStarted(calls, call.Id, call.Name) { Choice = choice.Index, Kind = call.Kind,
                            Signature = call.Signature });
                        batch.Add(new ToolCallDelta(calls++, call.Arguments) { Choice = choice.Index });
                        break;
                }
            }
            if (choice.Annotations is { Count: > 0 } annotations)
            {
                batch.Add(new AnnotationsAdded((System.Text.Json.Nodes.JsonArray)annotations.DeepClone()) { Choice = choice.Index });
            }
            if (choice.Audio is { } audio)
            {
                batch.Add(new AudioDelta((System.Text.Json.Nodes.JsonObject)audio.DeepClone()) { Choice = choice.Index });
            }
            if (choice.FinishReason is { } reason)
            {
                batch.Add(new ChoiceFinished(reason) { Choice = choice.Index, StopSequence = choice.StopSequence });
            }
        }
        if (report is not null) batch.Add(UsageReported.Of(report));
    }
}
