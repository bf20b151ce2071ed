using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary><c>/v1/responses</c>.</summary>
internal sealed class ResponsesFailoverClient : FailoverClient
{
    protected override string Path => "/v1/responses";

    protected override JsonObject Request(string model, bool isStream) => new()
    {
        ["model"] = model,
        ["input"] = Prompt,
        ["store"] = false,
        ["stream"] = isStream,
    };

    protected override FailoverResponse Read(int status, JsonElement body)
    {
        var text = string.Concat(body.GetProperty("output").EnumerateArray()
            .Where(item => Text(item, "type") == "message")
            .SelectMany(item => item.GetProperty("content").EnumerateArray())
            .Select(part => Text(part, "text")));
        return new(status, text, ErrorOf(body), Text(body, "status") == "completed", Text(body, "model"));
    }

    protected override FailoverResponse Read(FailoverResponse before, JsonElement data) => Text(data, "type") switch
    {
        "error" => before with { Error = Text(data, "code") ?? CodeOf(data) },
        "response.failed" or "response.incomplete" => before with { Error = before.Error ?? ErrorOf(data.GetProperty("response")) },
        "response.output_text.delta" => before with { Text = before.Text + Text(data, "delta") },
        // The first event comes before a provider was chosen.
        "response.completed" => before with
        {
            HasEnd = Text(data.GetProperty("response"), "status") == "completed", Model = Text(data.GetProperty("response"), "model"),
        },
        _ => before,
    };

    private static string? ErrorOf(JsonElement response) => Text(response, "status") switch
    {
        "failed" => CodeOf(response),
        "incomplete" => Text(response.GetProperty("incomplete_details"), "reason"),
        _ => null,
    };
}
