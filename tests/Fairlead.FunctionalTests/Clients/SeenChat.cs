using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>A response as OpenAI's client saw it, whole or streamed.</summary>
internal sealed class SeenChat
{
    public StringBuilder Text { get; } = new();

    /// <summary>The field <c>reasoning_content</c>, which the client carries without a name for it.</summary>
    public StringBuilder Reasoning { get; } = new();

    public List<ChatToolCall> Calls { get; } = [];

    public ChatFinishReason? Finish { get; private set; }

    public ChatTokenUsage? Usage { get; private set; }

    public static async Task<SeenChat> AskAsync(ChatClient client, IEnumerable<ChatMessage> messages, ChatCompletionOptions options, bool streams, CancellationToken cancellationToken)
    {
        var seen = new SeenChat();
        if (streams) await seen.StreamAsync(client, messages, options, cancellationToken);
        else await seen.WholeAsync(client, messages, options, cancellationToken);
        return seen;
    }

    private async Task WholeAsync(ChatClient client, IEnumerable<ChatMessage> messages, ChatCompletionOptions options, CancellationToken cancellationToken)
    {
        var result = await client.CompleteChatAsync(messages, options, cancellationToken);
        foreach (var part in result.Value.Content) Text.Append(part.Text);
        Calls.AddRange(result.Value.ToolCalls);
        (Finish, Usage) = (result.Value.FinishReason, result.Value.Usage);
        AddReasoning(result.GetRawResponse().Content, "message");
    }

    private async Task StreamAsync(ChatClient client, IEnumerable<ChatMessage> messages, ChatCompletionOptions options, CancellationToken cancellationToken)
    {
        var calls = new SortedDictionary<int, (string Id, string Name, StringBuilder Arguments)>();
        await foreach (var update in client.CompleteChatStreamingAsync(messages, options, cancellationToken))
        {
            foreach (var part in update.ContentUpdate) Text.Append(part.Text);
            foreach (var call in update.ToolCallUpdates)
            {
                if (!calls.ContainsKey(call.Index)) calls[call.Index] = (call.ToolCallId, call.FunctionName, new StringBuilder());
                if (call.FunctionArgumentsUpdate is { } piece && piece.ToMemory().Length > 0) calls[call.Index].Arguments.Append(piece);
            }
            Finish ??= update.FinishReason;
            Usage = update.Usage ?? Usage;
            AddReasoning(ModelReaderWriter.Write(update), "delta");
        }
        foreach (var (id, name, arguments) in calls.Values) Calls.Add(ChatToolCall.CreateFunctionToolCall(id, name, BinaryData.FromString(arguments.ToString())));
    }

    private void AddReasoning(BinaryData json, string member)
    {
        using var document = JsonDocument.Parse(json);
        foreach (var choice in document.RootElement.GetProperty("choices").EnumerateArray())
        {
            if (choice.TryGetProperty(member, out var said) && said.TryGetProperty("reasoning_content", out var reasoning)) Reasoning.Append(reasoning.GetString());
        }
    }
}
