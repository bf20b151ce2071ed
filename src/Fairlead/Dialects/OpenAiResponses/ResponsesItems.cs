using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>A whole canonical response as items.</summary>
internal static class ResponsesItems
{
    public static List<OutputItem> Items(GatewayCall call, ModelResponse answer, bool cut)
    {
        var items = new List<OutputItem>();
        var choice = answer.Choices[0];
        OutputItem? message = null;
        foreach (var part in choice.Parts)
        {
            switch (part)
            {
                case TextPart or RefusalPart:
                    if (message is null) items.Add(message = New(call, OutputItemKind.Message, items.Count));
                    var made = new OutputPart(part is RefusalPart);
                    made.Text.Append(part is TextPart text ? text.Text : ((RefusalPart)part).Text);
                    message.Parts.Add(made);
                    break;
                case ReasoningPart reasoning:
                    message = null;
                    var thought = New(call, OutputItemKind.Reasoning, items.Count);
                    thought.Text.Append(reasoning.Text);
                    if (reasoning.Redacted is not null || reasoning.Signature is not null) thought.Seal = SealedReasoning.Of(reasoning);
                    items.Add(thought);
                    break;
                case ToolCallPart toolCall:
                    message = null;
                    if (toolCall.Signature is { Length: > 0 }) SealWarning.Add(call);
                    var kind = toolCall.Kind == ToolKind.Custom ? OutputItemKind.CustomCall : OutputItemKind.FunctionCall;
                    var item = new OutputItem(kind, ResponseIds.OfItem(OutputItem.PrefixOf(kind), call, items.Count),
                        items.Count) { CallId = toolCall.Id, Name = toolCall.Name };
                    item.Text.Append(toolCall.Arguments);
                    items.Add(item);
                    break;
            }
        }
        // Both belong to the text; usually there is one.
        if (items.Find(static item => item.Kind == OutputItemKind.Message)?.Parts.Find(static part => !part.IsRefusal) is { } words)
        {
            words.Logprobs.AddRange(choice.Logprobs ?? []);
            foreach (var annotation in choice.Annotations ?? [])
            {
                if (ResponseJson.Annotation(annotation) is { } flat) words.Annotations.Add(flat);
            }
        }
        foreach (var item in items) item.IsOpen = false;
        if (cut && items.Count > 0) items[^1].IsIncomplete = true;
        return items;
    }

    private static OutputItem New(GatewayCall call, OutputItemKind kind, int index) =>
        new(kind, ResponseIds.OfItem(OutputItem.PrefixOf(kind), call, index), index);
}
