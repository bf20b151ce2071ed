using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>What a client asks to get the answers of a row.</summary>
internal static class WayBackRequests
{
    private const string Schema = """{"type":"object","properties":{"city":{"type":"string"},"mild":{"type":"boolean"}},"required":["city","mild"],"additionalProperties":false}""";

    public static string Path(string client) => client switch { "chat" => "/v1/chat/completions", "messages" => "/v1/messages", _ => "/v1/completions" };

    /// <summary>Whether a client of this dialect can ask for it.</summary>
    public static bool Asks(string row, string upstream, string client) => client switch
    {
        "messages" => row is not ("choices" or "logprobs"),
        // An OpenAI server has an endpoint of its own for completions: no translation.
        "completions" => upstream != "openai" && row is not ("tool-calls-interleaved" or "logprobs" or "structured"),
        _ => true,
    };

    public static string Body(string row, string upstream, string client, bool stream)
    {
        var body = new JsonObject { ["model"] = upstream, ["max_tokens"] = 100 };
        if (client == "completions") body["prompt"] = "Hi";
        else body["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Hi" });
        if (stream) body["stream"] = true;
        // The extra chunk where it is the row's matter; elsewhere the usual finish carries the usage.
        if (stream && row == "usage" && client != "messages") body["stream_options"] = new JsonObject { ["include_usage"] = true };
        switch (row)
        {
            case "choices": body["n"] = 2; break;
            case "logprobs":
                body["logprobs"] = true;
                body["top_logprobs"] = 2;
                break;
            case "finish-stop-sequence": body[client == "messages" ? "stop_sequences" : "stop"] = new JsonArray("END"); break;
            case "tool-calls" or "tool-calls-interleaved" when client != "completions":
                body["tools"] = new JsonArray(Tool(client, "get_weather"), Tool(client, "get_time"));
                break;
            case "structured" when client == "chat":
                body["response_format"] = new JsonObject { ["type"] = "json_schema", ["json_schema"] = new JsonObject { ["name"] = "place", ["schema"] = JsonNode.Parse(Schema) } };
                break;
            case "structured" when client == "messages":
                body["output_config"] = new JsonObject { ["format"] = new JsonObject { ["type"] = "json_schema", ["schema"] = JsonNode.Parse(Schema) } };
                break;
        }
        return body.ToJsonString();
    }

    private static JsonObject Tool(string client, string name) => client == "messages"
        ? new JsonObject { ["name"] = name, ["input_schema"] = new JsonObject { ["type"] = "object" } }
        : new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = name, ["parameters"] = new JsonObject { ["type"] = "object" } } };
}
