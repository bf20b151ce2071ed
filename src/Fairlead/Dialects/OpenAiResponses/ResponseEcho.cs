using System.Buffers;
using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// The settings that every response repeats, with the defaults of what was not sent. Open Responses requires each of them.
/// </summary>
internal static class ResponseEcho
{
    /// <summary>Members with a comma before the first, without <c>store</c>, which is known last.</summary>
    public static byte[] Of(GatewayCall call)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        using (var document = JsonDocument.Parse(call.Body.WrittenMemory, new JsonDocumentOptions { MaxDepth = 1024 }))
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions with { MaxDepth = 1100 }))
        {
            Write(json, document.RootElement, call);
        }
        var members = output.WrittenSpan[1..^1];
        return [(byte)',', .. members];
    }

    private static void Write(Utf8JsonWriter json, JsonElement root, GatewayCall call)
    {
        json.WriteStartObject();
        json.WriteBoolean("background", call.Facts.Responses?.Background == true);
        Text(json, root, "instructions");
        Integer(json, root, "max_output_tokens");
        Integer(json, root, "max_tool_calls");
        json.WriteBoolean("parallel_tool_calls", !ChatConversationReader.Has(root, "parallel_tool_calls", out var parallel)
            || parallel.GetBoolean());
        Number(json, root, "presence_penalty", 0);
        Number(json, root, "frequency_penalty", 0);
        json.WriteString("previous_response_id", call.Facts.Responses?.PreviousResponseId);
        Text(json, root, "prompt_cache_key");
        var thinks = ChatConversationReader.Has(root, "reasoning", out var reasoning);
        json.WriteStartObject("reasoning");
        json.WriteString("effort", thinks ? ChatConversationReader.Text(reasoning, "effort") : null);
        json.WriteString("summary", thinks
            ? ChatConversationReader.Text(reasoning, "summary") ?? ChatConversationReader.Text(reasoning, "generate_summary")
            : null);
        json.WriteEndObject();
        Text(json, root, "safety_identifier");
        json.WriteString("service_tier", ChatConversationReader.Text(root, "service_tier") is { } tier and not "auto" ? tier : "default");
        Number(json, root, "temperature", 1);
        Format(json, root);
        json.WritePropertyName("tool_choice");
        if (ChatConversationReader.Has(root, "tool_choice", out var choice)) choice.WriteTo(json);
        else json.WriteStringValue("auto");
        json.WriteStartArray("tools");
        if (ChatConversationReader.Has(root, "tools", out var tools))
        {
            foreach (var tool in tools.EnumerateArray()) Tool(json, tool);
        }
        json.WriteEndArray();
        Number(json, root, "top_logprobs", 0);
        Number(json, root, "top_p", 1);
        json.WriteString("truncation", ChatConversationReader.Text(root, "truncation") ?? "disabled");
        // Not required, and never null in OpenAI's description.
        if (ChatConversationReader.Text(root, "user") is { } user) json.WriteString("user", user);
        json.WritePropertyName("metadata");
        if (ChatConversationReader.Has(root, "metadata", out var metadata))
        {
            metadata.WriteTo(json);
        }
        else
        {
            json.WriteStartObject();
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private static void Format(Utf8JsonWriter json, JsonElement root)
    {
        json.WriteStartObject("text");
        json.WriteStartObject("format");
        var has = ChatConversationReader.Has(root, "text", out var text);
        JsonElement format = default;
        var type = has && ChatConversationReader.Has(text, "format", out format) ? ChatConversationReader.Text(format, "type")! : "text";
        json.WriteString("type", type);
        if (type == "json_schema")
        {
            json.WriteString("name", ChatConversationReader.Text(format, "name"));
            json.WriteString("description", ChatConversationReader.Text(format, "description"));
            json.WritePropertyName("schema");
            format.GetProperty("schema").WriteTo(json);
            json.WriteBoolean("strict", ChatConversationReader.Has(format, "strict", out var strict) && strict.GetBoolean());
        }
        json.WriteEndObject();
        if (has && ChatConversationReader.Text(text, "verbosity") is { } verbosity) json.WriteString("verbosity", verbosity);
        json.WriteEndObject();
    }

    private static void Tool(Utf8JsonWriter json, JsonElement tool)
    {
        if (ChatConversationReader.Text(tool, "type") != "function")
        {
            tool.WriteTo(json);
            return;
        }
        json.WriteStartObject();
        json.WriteString("type", "function");
        json.WriteString("name", ChatConversationReader.Text(tool, "name"));
        json.WriteString("description", ChatConversationReader.Text(tool, "description"));
        json.WritePropertyName("parameters");
        if (ChatConversationReader.Has(tool, "parameters", out var parameters)) parameters.WriteTo(json);
        else json.WriteNullValue();
        json.WriteBoolean("strict", ResponsesConversationReader.IsStrict(tool));
        json.WriteEndObject();
    }

    private static void Text(Utf8JsonWriter json, JsonElement root, string name) =>
        json.WriteString(name, ChatConversationReader.Text(root, name));

    private static void Integer(Utf8JsonWriter json, JsonElement root, string name)
    {
        if (ChatConversationReader.Has(root, name, out var value)) json.WriteNumber(name, value.GetInt64());
        else json.WriteNull(name);
    }

    private static void Number(Utf8JsonWriter json, JsonElement root, string name, int otherwise)
    {
        if (!ChatConversationReader.Has(root, name, out var value))
        {
            json.WriteNumber(name, otherwise);
            return;
        }
        json.WritePropertyName(name);
        value.WriteTo(json);
    }
}
