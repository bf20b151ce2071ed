using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// What a request means to the gateway where it takes more than OpenAI and Anthropic document: words outside the documented lists, which a provider other than these two judges
/// itself, and forms of tool calls that model servers return and clients send back. The documented schema then judges the rest.
/// </summary>
internal static class LenientRequest
{
    private static readonly Dictionary<string, string[]> Words = new(StringComparer.Ordinal)
    {
        ["detail"] = ["auto", "low", "high", "original"],
        ["prompt_cache_retention"] = ["in_memory", "in-memory", "24h"],
        ["service_tier"] = ["auto", "default", "flex", "scale", "priority", "fast", "standard_only"],
        ["reasoning_effort"] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
        ["verbosity"] = ["low", "medium", "high"],
    };

    private static readonly string[] Roles = ["developer", "system", "user", "assistant", "tool", "function"];

    private static readonly string[] Parts = ["text", "refusal", "image_url", "input_audio", "file"];

    /// <summary>Changes <paramref name="body"/>.</summary>
    public static void Apply(HostileDoor door, JsonNode? body)
    {
        if (body is not JsonObject request) return;
        var isChat = door.Name.StartsWith("chat", StringComparison.Ordinal);
        if (isChat) AssistantMessages(request, passesUnknownTypes: door.Name == "chat, native");
        // Anthropic has no maximum of stop sequences.
        if (door.Name == "chat, claude") ManyStops(request);
        // Only a provider that speaks the client's dialect can judge its words.
        if (door.Name is "chat, native" or "completions, native") OpenAi(request);
        if (door.Name.StartsWith("messages", StringComparison.Ordinal) && !door.Name.EndsWith("simulated", StringComparison.Ordinal)) Anthropic(request);
    }

    // What model servers write, and clients send back.
    private static void AssistantMessages(JsonObject request, bool passesUnknownTypes)
    {
        foreach (var message in Objects(request["messages"]).Where(message => IsText(message["role"]) && Is(message["role"], "assistant")))
        {
            if (message["content"] is JsonArray { Count: 0 }) message["content"] = null;
            foreach (var call in Objects(message["tool_calls"]))
            {
                if (call["type"] is null || (passesUnknownTypes && HasUnknown(call, "function", "custom"))) call["type"] = "function";
                if (call["function"] is JsonObject function && function["arguments"] is JsonObject or null) function["arguments"] = "{}";
            }
        }
    }

    private static void ManyStops(JsonObject request)
    {
        if (request["stop"] is JsonArray { Count: > 4 } stop && stop.All(IsText)) request["stop"] = "a";
    }

    private static void OpenAi(JsonObject request)
    {
        ManyStops(request);
        DropUnknown(request);
        if (IsText(request["tool_choice"]) && !Is(request["tool_choice"], "none", "auto", "required")) request.Remove("tool_choice");
        if (request["tool_choice"] is JsonObject choice && HasUnknown(choice, "function", "custom", "allowed_tools")) request.Remove("tool_choice");
        if (request["response_format"] is JsonObject format && HasUnknown(format, "text", "json_object", "json_schema")) request.Remove("response_format");
        Keep(request["tools"] as JsonArray, tool => !HasUnknown(tool, "function", "custom"));
        if (request["tools"] is JsonArray { Count: 0 })
        {
            foreach (var name in (string[])["tools", "tool_choice", "parallel_tool_calls"]) request.Remove(name);
        }
        if (request["messages"] is not JsonArray messages) return;
        foreach (var message in Objects(messages))
        {
            if (message["content"] is not JsonArray content) continue;
            Keep(content, part => !HasUnknown(part, Parts));
            if (content.Count == 0) message["content"] = "text";
            foreach (var image in Objects(content).Select(part => part["image_url"]).OfType<JsonObject>()) DropUnknown(image);
        }
        Keep(messages, message => !IsText(message["role"]) || Is(message["role"], Roles));
        if (messages.Count == 0) messages.Add(new JsonObject { ["role"] = "user", ["content"] = "text" });
    }

    private static void Anthropic(JsonObject request)
    {
        DropUnknown(request);
        if (request["tool_choice"] is JsonObject choice && HasUnknown(choice, "auto", "any", "tool", "none")) request.Remove("tool_choice");
        var marked = Objects(request["system"]).Concat(Objects(request["tools"])).Concat(Objects(request["messages"]).SelectMany(message => Objects(message["content"])));
        foreach (var place in marked.ToList())
        {
            if (place["cache_control"] is not JsonObject cache) continue;
            if (HasUnknown(cache, "ephemeral") || (IsText(cache["ttl"]) && !Is(cache["ttl"], "5m", "1h"))) place.Remove("cache_control");
        }
    }

    private static void DropUnknown(JsonObject item)
    {
        foreach (var (name, words) in Words)
        {
            if (IsText(item[name]) && !Is(item[name], words)) item.Remove(name);
        }
    }

    private static bool HasUnknown(JsonObject item, params string[] words) => IsText(item["type"]) && !Is(item["type"], words);

    private static IEnumerable<JsonObject> Objects(JsonNode? list) => list is JsonArray array ? array.OfType<JsonObject>() : [];

    private static void Keep(JsonArray? list, Func<JsonObject, bool> isKnown)
    {
        for (var i = (list?.Count ?? 0) - 1; i >= 0; i--)
        {
            if (list![i] is JsonObject item && !isKnown(item)) list.RemoveAt(i);
        }
    }

    private static bool IsText(JsonNode? node) => node?.GetValueKind() == JsonValueKind.String;

    private static bool Is(JsonNode? node, params string[] words) => words.Contains(node!.GetValue<string>());
}
