using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary><c>/v1/messages</c>.</summary>
internal sealed class MessagesFailoverClient : FailoverClient
{
    protected override string Path => "/v1/messages";

    protected override JsonObject Request(string model, bool isStream) => new()
    {
        ["model"] = model,
        ["max_tokens"] = MaxTokens,
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = Prompt }),
        ["stream"] = isStream,
    };

    protected override FailoverResponse Read(int status, JsonElement body) => new(status,
        string.Concat(body.GetProperty("content").EnumerateArray().Select(part => Text(part, "text"))), ErrorOf(body),
        Text(body, "stop_reason") == "end_turn", Text(body, "model"));

    protected override FailoverResponse Read(FailoverResponse before, JsonElement data) => Text(data, "type") switch
    {
        "error" => before with { Error = CodeOf(data) },
        "message_start" => before with { Model = Text(data.GetProperty("message"), "model") },
        "content_block_delta" => before with { Text = before.Text + Text(data.GetProperty("delta"), "text") },
        "message_delta" => before with
        {
            Error = before.Error ?? ErrorOf(data.GetProperty("delta")),
            IsFinished = before.IsFinished || Text(data.GetProperty("delta"), "stop_reason") == "end_turn",
        },
        "message_stop" => before with { HasEnd = before.IsFinished },
        _ => before,
    };

    private static string? ErrorOf(JsonElement json) => Text(json, "stop_reason") == "refusal" ? ContentFilter : null;
}
