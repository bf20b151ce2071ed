using System.Collections.Frozen;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Which members of a request are content, in all dialects. Everything is, except the members that are named here, at their places, so that
/// a member that only a provider knows is checked too.
/// </summary>
internal static class ContentFields
{
    /// <summary>Longer values under these names are checked: no server has such long names and ids.</summary>
    public const int LongestName = 256;

    /// <summary>Texts under these names at the top of a body are ids and words of the API.</summary>
    private static readonly FrozenSet<string> TopNames = Set(
        "id", "type", "model", "object", "mode", "class", "task", "tier", "previous_response_id", "conversation", "container", "service_tier",
        "verbosity", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user", "encoding_format", "truncation",
        "anthropic_version", "cachedContent", "reasoning_effort",
        // An item of a stored response is read alone.
        "role", "status", "phase", "call_id", "tool_call_id", "item_id", "file_id", "container_id", "finish_reason");

    /// <summary>The same in the objects of the API.</summary>
    private static readonly FrozenSet<string> Names = Set(
        "id", "type", "role", "status", "detail", "phase", "tool_call_id", "call_id", "tool_use_id", "item_id", "file_id", "container_id",
        "media_type", "mime_type", "mediaType", "mimeType", "finish_reason", "stop_reason");

    /// <summary>The same in the object of one name only.</summary>
    private static readonly FrozenDictionary<string, string[]> NamesOf = new Dictionary<string, string[]>(StringComparer.Ordinal)
    {
        ["reasoning"] = ["effort", "summary_format", "mode"],
        ["thinking"] = ["display"],
        ["output_config"] = ["effort"],
        ["text"] = ["verbosity"],
        ["input_audio"] = ["format"],
        ["audio"] = ["format", "voice"],
        ["conversation"] = ["id"],
        ["prompt"] = ["version"],
        ["mcp_servers"] = ["authorization_token"],
        ["tools"] = ["authorization", "model"],
        ["functionCallingConfig"] = ["mode"],
        ["file_search"] = ["vector_store_ids"],
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Objects and lists of the API. In others, all texts are content.</summary>
    private static readonly FrozenSet<string> Known = Set(
        "", "messages", "message", "content", "contents", "parts", "part", "system", "systemInstruction", "system_instruction", "input",
        "items", "tools", "tool", "function", "custom", "functions", "functionDeclarations", "function_declarations", "functionCall",
        "function_call", "tool_calls", "toolConfig", "tool_config", "functionCallingConfig", "thinking", "reasoning", "reasoning_details",
        "output_config", "text", "format", "response_format", "json_schema", "summary", "output", "action", "actions", "source", "sources",
        "file", "image", "image_url", "video_url", "input_audio", "audio", "inlineData", "inline_data", "fileData", "file_data", "document",
        "documents", "citations", "annotations", "prompt", "prediction", "refusal", "generationConfig", "generation_config", "thinkingConfig",
        "mcp_servers", "container", "conversation", "context_management", "edits", "results", "file_search", "web_search", "requests",
        "user_location", "extra_content", "google", "caller", "url_citation", "safetySettings", "choices", "candidates");

    /// <summary>Texts under these names are sealed by a vendor and cannot be changed.</summary>
    private static readonly FrozenSet<string> Sealed = Set("signature", "thoughtSignature", "thought_signature", "encrypted_content");

    /// <summary>Objects under these names belong to the client or to its tools: every text and every name in them is content.</summary>
    private static readonly FrozenSet<string> Free = Set(
        "input", "arguments", "args", "parameters", "input_schema", "schema", "metadata", "json", "functionResponse", "function_response",
        "response", "variables", "chat_template_kwargs", "parametersJsonSchema", "parameters_json_schema", "responseSchema",
        "response_schema", "responseJsonSchema", "response_json_schema", "output_schema");

    /// <summary>Objects and lists under these names are settings.</summary>
    private static readonly FrozenSet<string> Settings = Set("cache_control", "tool_choice", "logit_bias", "stream_options", "modalities", "include");

    /// <summary>The same, at the top of the body only.</summary>
    private static readonly FrozenSet<string> TopSettings = Set(
        "fairlead", "route", "delivery", "cache", "webhook", "sampling", "rescue", "stream");

    /// <summary>Texts under these names are JSON documents that a model wrote.</summary>
    private static readonly FrozenSet<string> Documents = Set("arguments", "partial_json");

    /// <summary>In objects under these names, <c>name</c> is the name of a tool.</summary>
    private static readonly FrozenSet<string> Tools = Set(
        "tools", "functions", "function", "custom", "functionDeclarations", "function_declarations", "functionCall", "function_call", "tool_calls");

    /// <summary>The same in objects of these types.</summary>
    private static readonly FrozenSet<string> ToolTypes = Set(
        "tool_use", "server_tool_use", "mcp_tool_use", "function_call", "custom_tool_call", "mcp_call", "tool_call", "function", "custom");

    /// <summary>Whether a text is an id or a word of the API.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="container">Name of the object that contains it; empty for the body.</param>
    /// <param name="isTop">Whether this object is the body.</param>
    public static bool IsName(string name, string container, bool isTop) => isTop
        ? TopNames.Contains(name)
        : Names.Contains(name) || (NamesOf.TryGetValue(container, out var own) && own.Contains(name, StringComparer.Ordinal));

    /// <summary>Whether the API knows objects of this name.</summary>
    public static bool IsKnown(string container) => Known.Contains(container);

    public static bool IsSealed(string name) => Sealed.Contains(name);

    public static bool IsDocument(string name) => Documents.Contains(name);

    public static bool IsToolObject(string container) => Tools.Contains(container);

    public static bool IsToolType(string? type) => type is not null && ToolTypes.Contains(type);

    /// <summary>Whether an object or list has settings. The headers of a tool's server have credentials.</summary>
    public static bool IsSetting(string name, string container, bool isTop) =>
        Settings.Contains(name) || (isTop && TopSettings.Contains(name)) || (name == "headers" && container is ("tools" or "mcp_servers"));

    /// <summary>Whether an object under the name is free. The input at the top of a body is not.</summary>
    public static bool IsFree(string name, bool isTop) => Free.Contains(name) && !(isTop && name == "input");

    private static FrozenSet<string> Set(params string[] names) => names.ToFrozenSet(StringComparer.Ordinal);
}
