using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>An <see cref="IChatClient"/> whose responses contain the feature of one row of the golden files.</summary>
internal sealed class ScriptedChatClient : IChatClient
{
    public static readonly string[] Rows =
    [
        "finish-stop", "finish-length", "finish-content-filter", "refusal", "tool-calls", "reasoning", "usage", "citations", "media", "error", "structured",
    ];

    public string Row { get; set; } = "";

    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        Task.FromResult(Updates().ToChatResponse());

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        foreach (var update in Updates())
        {
            // An error that comes at once comes with the text before it, and so always before that text has left.
            if (Row != "error") await Task.Yield();
            yield return update;
        }
        if (Row == "error") throw new InvalidOperationException("secret-host-1 is overloaded");
    }

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public void Dispose()
    {
    }

    private List<ChatResponseUpdate> Updates()
    {
        List<AIContent> contents = Row switch
        {
            "refusal" => [new ErrorContent("I can't help.") { ErrorCode = "Refusal" }],
            "tool-calls" =>
            [
                new TextContent("Looking."),
                new FunctionCallContent("fn_a", "get_weather", new Dictionary<string, object?> { ["city"] = "Oslo" }),
                new FunctionCallContent("fn_b", "get_time", new Dictionary<string, object?>()),
            ],
            "reasoning" => [new TextReasoningContent("Think "), new TextReasoningContent("first."), new TextContent("Grüße "), new TextContent("aus Oslo 🌊")],
            "citations" => [new TextContent("Oslo.") { Annotations = [new CitationAnnotation { Title = "Oslo", Url = new Uri("https://no.example/oslo") }] }],
            "media" => [new TextContent("Here."), new DataContent("data:image/png;base64,iVBORw0KGgo=")],
            "structured" => [new TextContent("""{"city":""" + " \"Oslo\","), new TextContent("""  "mild":true}""")],
            "error" => [new TextContent("Grüße ")],
            _ => [new TextContent("Grüße "), new TextContent("aus Oslo 🌊")],
        };
        var updates = contents.ConvertAll(content => new ChatResponseUpdate(ChatRole.Assistant, [content]) { ModelId = "scripted-1" });
        if (Row == "error") return updates;
        var usage = new UsageDetails { InputTokenCount = 20, OutputTokenCount = 9, TotalTokenCount = 29 };
        if (Row is "usage") usage = new UsageDetails { InputTokenCount = 100, OutputTokenCount = 30, TotalTokenCount = 130, CachedInputTokenCount = 60, ReasoningTokenCount = 12 };
        updates.Add(new ChatResponseUpdate(ChatRole.Assistant, [new UsageContent(usage)])
        {
            FinishReason = Row switch { "finish-length" => ChatFinishReason.Length, "finish-content-filter" => ChatFinishReason.ContentFilter, "tool-calls" => ChatFinishReason.ToolCalls, _ => ChatFinishReason.Stop },
        });
        return updates;
    }
}
