using System.Collections.Frozen;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Which members of a request are content, in all dialects. Everything is, except the members that are named here, so that a member that
/// only a provider knows is checked too.
/// </summary>
internal static class ContentFields
{
    /// <summary>Longer values under these names are checked: no server has such long names and ids.</summary>
    public const int LongestName = 256;

    /// <summary>Texts under these names are ids and names of the API.</summary>
    private static readonly FrozenSet<string> Names = FrozenSet.Create(
        StringComparer.Ordinal,
        "id", "type", "role", "model", "object", "status", "detail", "effort", "mode", "class", "task", "tier", "ttl", "phase",
        "tool_call_id", "call_id", "tool_use_id", "item_id", "previous_response_id", "conversation", "file_id", "container", "container_id",
        "media_type", "mime_type", "mediaType", "mimeType", "service_tier", "finish_reason", "stop_reason", "verbosity", "voice",
        "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user", "user_id", "encoding_format", "truncation", "format",
        "display", "summary_format", "anthropic_version");

    /// <summary>Texts under these names are sealed by a vendor and cannot be changed.</summary>
    private static readonly FrozenSet<string> Sealed = FrozenSet.Create(
        StringComparer.Ordinal, "signature", "thoughtSignature", "thought_signature", "encrypted_content");

    /// <summary>Objects under these names belong to the client or to its tools: every text and every name in them is content.</summary>
    private static readonly FrozenSet<string> Free = FrozenSet.Create(
        StringComparer.Ordinal,
        "input", "arguments", "args", "parameters", "input_schema", "schema", "metadata", "json", "functionResponse", "response");

    /// <summary>Objects and lists under these names are settings.</summary>
    private static readonly FrozenSet<string> Settings = FrozenSet.Create(
        StringComparer.Ordinal, "cache_control", "tool_choice", "logit_bias", "stream_options", "modalities", "include");

    /// <summary>The same, at the top of the body only.</summary>
    private static readonly FrozenSet<string> TopSettings = FrozenSet.Create(
        StringComparer.Ordinal, "fairlead", "route", "delivery", "cache", "webhook", "sampling", "rescue", "stream");

    /// <summary>Texts under these names are JSON documents.</summary>
    private static readonly FrozenSet<string> Documents = FrozenSet.Create(StringComparer.Ordinal, "arguments", "output", "partial_json");

    public static bool IsName(string name) => Names.Contains(name);

    public static bool IsSealed(string name) => Sealed.Contains(name);

    public static bool IsDocument(string name) => Documents.Contains(name);

    public static bool IsSetting(string name, bool isTop) => Settings.Contains(name) || (isTop && TopSettings.Contains(name));

    /// <summary>Whether an object under the name is free. The list of inputs at the top of a body is not.</summary>
    public static bool IsFree(string name, bool isTop, bool isObject) => isObject && Free.Contains(name) && !(isTop && name == "input");
}
