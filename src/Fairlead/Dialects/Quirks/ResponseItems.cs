using System.Collections.Frozen;
using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using static Fairlead.Dialects.Quirks.QuirkJson;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// The shape of a Response object and of its items, as OpenAI sends them. Whole responses and the events of a stream use the same repairs.
/// </summary>
internal static class ResponseItems
{
    public const string Message = "message";
    public const string FunctionCall = "function_call";
    public const string CustomCall = "custom_tool_call";
    public const string Reasoning = "reasoning";
    public const string Completed = "completed";
    public const string Incomplete = "incomplete";
    public const string InProgress = "in_progress";

    private static readonly FrozenSet<string> Statuses = FrozenSet.Create(StringComparer.Ordinal, Completed, Incomplete, InProgress,
        "failed", "searching", "generating", "calling", "interpreting");

    private static readonly FrozenSet<string> CallTypes = FrozenSet.Create(StringComparer.Ordinal, "function", "tool_call", "tool_use",
        "function_tool_call");

    /// <summary>Statuses of a complete response, which are not finish reasons.</summary>
    private static readonly FrozenSet<string> CompleteStatuses = FrozenSet.Create(StringComparer.OrdinalIgnoreCase, "succeeded", "success",
        "successful", "ok");

    public static bool IsCall(string type) => type is FunctionCall or CustomCall;

    public static string ArgumentsName(string type) => type == CustomCall ? "input" : "arguments";

    /// <summary>Repairs one item.</summary>
    /// <param name="item">The item.</param>
    /// <param name="index">Its position, from which ids are derived.</param>
    /// <param name="isDone">Whether it is complete.</param>
    /// <returns>Whether anything was changed.</returns>
    public static bool Repair(JsonObject item, int index, bool isDone)
    {
        var type = TypeOf(item);
        var changed = type is not null && Put(item, "type", type);
        switch (type)
        {
            case Message:
                changed |= Put(item, "role", "assistant") | Content(item, isDone) | Status(item, isDone);
                break;
            case FunctionCall or CustomCall:
                changed |= Call(item, type, index, isDone);
                break;
            case Reasoning when item["summary"] is not JsonArray:
                item["summary"] = Text(item["summary"]) is { Length: > 0 } summary
                    ? new JsonArray(new JsonObject { ["type"] = "summary_text", ["text"] = summary })
                    : new JsonArray();
                changed = true;
                break;
        }
        if (Text(item["id"]) is { Length: > 0 }) return changed;
        item["id"] = Number(item["id"])?.ToString(CultureInfo.InvariantCulture) ?? MakeId(type, index);
        return true;
    }

    /// <summary>Whether it is a call without a name, which a client cannot run.</summary>
    public static bool IsNameless(JsonObject item) =>
        Text(item["type"]) is { } type && IsCall(type) && Text(item["name"]) is not { Length: > 0 };

    /// <summary>Repairs a whole Response object.</summary>
    public static bool RepairWhole(JsonObject response, Action skipped)
    {
        var output = response["output"] as JsonArray;
        var changed = false;
        if (output is null)
        {
            var single = response["output"];
            if (single is JsonObject or JsonValue) response.Remove("output");
            JsonNode? only = single as JsonObject ?? (Text(single) ?? Text(response["output_text"])) switch
            {
                { Length: > 0 } text => new JsonObject { ["type"] = Message, ["content"] = text },
                _ => null,
            };
            // An object with neither is not a response.
            if (only is null) return false;
            response["output"] = output = [only];
            changed = true;
        }
        changed |= Put(response, "object", "response");
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var kept = new List<JsonNode>(output.Count);
        for (var i = 0; i < output.Count; i++)
        {
            var item = output[i] as JsonObject ?? (Text(output[i]) is { Length: > 0 } text
                ? new JsonObject { ["type"] = Message, ["content"] = text } : null);
            changed |= item is null || item != output[i];
            if (item is null) continue;
            changed |= Repair(item, i, isDone: true);
            if (IsNameless(item))
            {
                changed = true;
                skipped();
                continue;
            }
            if (!ids.Add(Text(item["id"])!))
            {
                item["id"] = MakeId(Text(item["type"]), i);
                changed = true;
            }
            kept.Add(item);
        }
        if (changed)
        {
            // All at once: single removals would move all others each time.
            output.Clear();
            foreach (var item in kept) output.Add(item);
        }
        return changed | Ending(response);
    }

    public static string MakeId(string? type, int index) =>
        string.Create(CultureInfo.InvariantCulture,
            $"{type switch { Message => "msg", FunctionCall => "fc", CustomCall => "ctc", Reasoning => "rs", _ => "item" }}_made{index}");

    /// <summary>A part as in a message.</summary>
    public static bool Part(JsonObject part)
    {
        var type = Text(part["type"]);
        var changed = false;
        if (type is null or "" or "text")
        {
            changed = Put(part, "type", type = part.ContainsKey("refusal") && !part.ContainsKey("text") ? "refusal" : "output_text");
        }
        var name = type == "refusal" ? "refusal" : "text";
        if (type is not ("output_text" or "refusal")) return changed;
        if (Text(part[name]) is null) changed |= Put(part, name, AsText(part[name]));
        if (type == "refusal" || part["annotations"] is JsonArray) return changed;
        part["annotations"] = new JsonArray();
        return true;
    }

    private static string? TypeOf(JsonObject item)
    {
        var given = Text(item["type"]);
        if (given is { Length: > 0 })
        {
            return CallTypes.Contains(given) ? FunctionCall : given is "output_message" or "assistant" ? Message : given;
        }
        return item.ContainsKey("role") || item.ContainsKey("content") || item.ContainsKey("text") ? Message
            : item.ContainsKey("arguments") || item.ContainsKey("function") || item.ContainsKey("call_id") ? FunctionCall
            : item.ContainsKey("summary") ? Reasoning : null;
    }

    private static bool Status(JsonObject item, bool isDone)
    {
        var word = Text(item["status"]);
        if (word is not null && Statuses.Contains(word) && !(isDone && word == InProgress)) return false;
        return Put(item, "status", !isDone ? InProgress
            : FinishReasonTable.Of(word) is FinishMeaning.Length or FinishMeaning.ContentFilter ? Incomplete
            : Completed);
    }

    private static bool Content(JsonObject item, bool isDone)
    {
        var changed = false;
        if (item["content"] is not JsonArray parts)
        {
            var single = item["content"];
            item.Remove("content");
            parts = single switch
            {
                JsonObject part => [part],
                JsonValue => [AsText(single)],
                _ => Text(item["text"]) is { Length: > 0 } text ? [text] : [],
            };
            item.Remove("text");
            item["content"] = parts;
            changed = true;
        }
        for (var i = 0; i < parts.Count; i++)
        {
            if (parts[i] is JsonObject part)
            {
                changed |= Part(part);
                continue;
            }
            parts[i] = new JsonObject { ["type"] = "output_text", ["text"] = AsText(parts[i]), ["annotations"] = new JsonArray() };
            changed = true;
        }
        return changed;
    }

    private static bool Call(JsonObject item, string type, int index, bool isDone)
    {
        var changed = false;
        if (item["function"] is { } inner)
        {
            item.Remove("function");
            if (inner is JsonObject function)
            {
                foreach (var name in (ReadOnlySpan<string>)["name", "arguments"])
                {
                    if (!function.TryGetPropertyValue(name, out var value)) continue;
                    function.Remove(name);
                    if (item[name] is null) item[name] = value;
                }
            }
            else if (Text(inner) is { } name && item["name"] is null)
            {
                item["name"] = name;
            }
            changed = true;
        }
        var member = ArgumentsName(type);
        if (Text(item[member]) is not { } arguments || (isDone && arguments.Length == 0 && type == FunctionCall))
        {
            var text = AsArguments(item[member]);
            item[member] = text.Length == 0 && isDone && type == FunctionCall ? "{}" : text;
            changed = true;
        }
        if (Text(item["call_id"]) is not { Length: > 0 })
        {
            item["call_id"] = Number(item["call_id"])?.ToString(CultureInfo.InvariantCulture)
                ?? (Text(item["id"]) is { Length: > 0 } id ? id : string.Create(CultureInfo.InvariantCulture, $"call_0_{index}"));
            changed = true;
        }
        return changed | Status(item, isDone);
    }

    // The status determines whether the response is complete. Failure values stay: the reader reports them.
    private static bool Ending(JsonObject response)
    {
        var word = Text(response["status"]);
        var reason = (response["incomplete_details"] as JsonObject)?["reason"];
        string? status;
        string? why = null;
        if (word is Completed or "failed" or "cancelled" or "queued" or InProgress) return false;
        if (word == Incomplete)
        {
            (status, why) = (Incomplete, Text(reason) is { Length: > 0 } given ? Why(FinishReasonTable.Of(given)) ?? given
                : "max_output_tokens");
        }
        else if (word is not null && CompleteStatuses.Contains(word)) status = Completed;
        else
        {
            var meaning = FinishReasonTable.Of(word);
            if (meaning == FinishMeaning.None) meaning = FinishReasonTable.Of(Text(reason));
            if (meaning == FinishMeaning.Failed) return false;
            (status, why) = Why(meaning) is { } truncated ? (Incomplete, truncated) : (Completed, null);
        }
        var changed = Put(response, "status", status);
        if (why is null || Text(reason) == why) return changed;
        response["incomplete_details"] = new JsonObject { ["reason"] = why };
        return true;
    }

    private static string? Why(FinishMeaning meaning) => meaning switch
    {
        FinishMeaning.Length => "max_output_tokens",
        FinishMeaning.ContentFilter => "content_filter",
        _ => null,
    };
}
