using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>The request that a client sends to get the responses of a row.</summary>
internal static class ClientRequests
{
    private const string Schema = """{"type":"object","properties":{"city":{"type":"string"},"mild":{"type":"boolean"}},"required":["city","mild"],"additionalProperties":false}""";

    public static string Path(string client) => client switch
    {
        "chat" => "/v1/chat/completions",
        "messages" => "/v1/messages",
        "responses" => "/v1/responses",
        "v2" => "/v2/generations",
        _ => "/v1/completions",
    };

    /// <summary>Whether this client's dialect has the fields that the row needs.</summary>
    public static bool CanAsk(string row, string upstream, string client) => client switch
    {
        "messages" or "v2" => row is not ("choices" or "logprobs"),
        // An OpenAI server has its own endpoints for completions and responses, so nothing is translated.
        "completions" => upstream != "openai" && row is not ("tool-calls-interleaved" or "logprobs" or "structured"),
        "responses" => upstream != "openai" && row is not ("choices" or "finish-stop-sequence"),
        _ => true,
    };

    public static string Body(string row, string upstream, string client, bool stream)
    {
        if (client == "responses") return ResponsesBody(row, upstream, stream);
        if (client == "v2") return V2Body(row, upstream, stream);
        var body = new JsonObject { ["model"] = upstream, ["max_tokens"] = 100 };
        if (client == "completions") body["prompt"] = "Hi";
        else body["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Hi" });
        if (stream) body["stream"] = true;
        // Only the row about usage asks for the extra chunk. In the other rows the finishing chunk has the usage.
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

    private static string ResponsesBody(string row, string upstream, bool stream)
    {
        var body = new JsonObject { ["model"] = upstream, ["input"] = "Hi", ["max_output_tokens"] = 100, ["store"] = false };
        if (stream) body["stream"] = true;
        switch (row)
        {
            case "logprobs":
                body["include"] = new JsonArray("message.output_text.logprobs");
                body["top_logprobs"] = 2;
                break;
            case "tool-calls" or "tool-calls-interleaved": body["tools"] = new JsonArray(Tool("responses", "get_weather"), Tool("responses", "get_time")); break;
            case "structured":
                body["text"] = new JsonObject { ["format"] = new JsonObject { ["type"] = "json_schema", ["name"] = "place", ["schema"] = JsonNode.Parse(Schema) } };
                break;
        }
        return body.ToJsonString();
    }

    private static string V2Body(string row, string upstream, bool stream)
    {
        var sampling = new JsonObject { ["max_output_tokens"] = 100 };
        var body = new JsonObject { ["model"] = upstream, ["input"] = "Hi", ["sampling"] = sampling, ["delivery"] = new JsonObject { ["mode"] = stream ? "stream" : "sync" } };
        switch (row)
        {
            case "finish-stop-sequence": sampling["stop"] = new JsonArray("END"); break;
            case "tool-calls" or "tool-calls-interleaved": body["tools"] = new JsonArray(Tool("v2", "get_weather"), Tool("v2", "get_time")); break;
            case "structured": body["output"] = new JsonObject { ["format"] = "json_schema", ["name"] = "place", ["schema"] = JsonNode.Parse(Schema) }; break;
        }
        return body.ToJsonString();
    }

    private static JsonObject Tool(string client, string name)
    {
        var parameters = new JsonObject { ["type"] = "object" };
        return client switch
        {
            "messages" => new JsonObject { ["name"] = name, ["input_schema"] = parameters },
            "responses" => new JsonObject { ["type"] = "function", ["name"] = name, ["parameters"] = parameters },
            "v2" => new JsonObject { ["name"] = name, ["parameters"] = parameters },
            _ => new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = name, ["parameters"] = parameters } },
        };
    }
}
