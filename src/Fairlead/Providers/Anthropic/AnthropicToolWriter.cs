using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;

namespace Fairlead.Providers.Anthropic;

/// <summary>Writes <c>tools</c> and <c>tool_choice</c>.</summary>
internal static class AnthropicToolWriter
{
    public static void Write(Utf8JsonWriter json, AnthropicRequest request)
    {
        var conversation = request.Conversation;
        var choice = conversation.ToolChoice;
        // "Only these may be called" is the same as offering only these.
        var tools = choice.Allowed?.ToHashSet(StringComparer.Ordinal) is { } allowed
            ? [.. conversation.Tools.Where(tool => allowed.Contains(tool.Name))]
            : conversation.Tools;
        if (tools.Count == 0) return;
        json.WriteStartArray("tools");
        for (var i = 0; i < tools.Count; i++) WriteTool(json, request, tools[i], i);
        json.WriteEndArray();
        WriteChoice(json, choice, conversation.ParallelToolCalls);
    }

    private static void WriteTool(Utf8JsonWriter json, AnthropicRequest request, Tool tool, int index)
    {
        if (tool.Kind != ToolKind.Function) throw AnthropicTranslator.Unsupported($"tools[{index}]", "accepts function tools only");
        json.WriteStartObject();
        json.WriteString("name", tool.Name);
        if (tool.Description is { } description) json.WriteString("description", description);
        json.WritePropertyName("input_schema");
        WriteSchema(json, tool.Parameters);
        if (tool.Strict == true) json.WriteBoolean("strict", true);
        AnthropicTurnWriter.WriteCacheControl(json, request, tool.CacheHint);
        json.WriteEndObject();
    }

    // The type is required there and often omitted by clients.
    private static void WriteSchema(Utf8JsonWriter json, JsonObject? schema)
    {
        json.WriteStartObject();
        json.WriteString("type", "object");
        if (schema is null) json.WriteStartObject("properties");
        if (schema is null) json.WriteEndObject();
        foreach (var (name, value) in schema ?? [])
        {
            if (name == "type") continue;
            json.WritePropertyName(name);
            if (value is null) json.WriteNullValue();
            else value.WriteTo(json);
        }
        json.WriteEndObject();
    }

    private static void WriteChoice(Utf8JsonWriter json, ToolChoice choice, bool? parallel)
    {
        var single = parallel == false;
        if (choice.Mode == ToolChoiceMode.Unset && !single) return;
        json.WriteStartObject("tool_choice");
        json.WriteString("type", choice.Mode switch
        {
            ToolChoiceMode.None => "none",
            ToolChoiceMode.Required => "any",
            ToolChoiceMode.Named => "tool",
            _ => "auto",
        });
        if (choice.Mode == ToolChoiceMode.Named) json.WriteString("name", choice.Name);
        if (single && choice.Mode != ToolChoiceMode.None) json.WriteBoolean("disable_parallel_tool_use", true);
        json.WriteEndObject();
    }
}
