using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary><c>/v1/chat/completions</c>.</summary>
internal sealed class ChatFailoverClient : FailoverClient
{
    protected override string Path => "/v1/chat/completions";

    protected override JsonObject Request(string model, bool isStream) => new()
    {
        ["model"] = model,
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = Prompt }),
        ["stream"] = isStream,
    };

    protected override FailoverResponse Read(int status, JsonElement body)
    {
        var choice = body.GetProperty("choices")[0];
        var text = Text(choice.GetProperty("message"), "content") ?? "";
        return new(status, text, ErrorOf(choice), Text(choice, "finish_reason") == "stop", Text(body, "model"));
    }

    protected override FailoverResponse Read(FailoverResponse before, JsonElement data)
    {
        if (data.TryGetProperty("error", out _)) return before with { Error = CodeOf(data) };
        var read = before with { Model = Text(data, "model") ?? before.Model };
        if (!data.TryGetProperty("choices", out var choices) || choices.GetArrayLength() == 0) return read;
        read = read with { Error = read.Error ?? ErrorOf(choices[0]), IsFinished = read.IsFinished || Text(choices[0], "finish_reason") == "stop" };
        return choices[0].TryGetProperty("delta", out var delta) ? read with { Text = read.Text + Text(delta, "content") } : read;
    }

    private static string? ErrorOf(JsonElement choice) => Text(choice, "finish_reason") == ContentFilter ? ContentFilter : null;

    protected override bool IsEnd(string data) => data == "[DONE]";
}
