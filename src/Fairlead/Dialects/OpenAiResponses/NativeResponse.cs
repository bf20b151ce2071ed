using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Makes a provider's own response ours: its ids become ours, its sealed reasoning is sealed once more with its id, what is decided here says so, and
/// everything else stays. One per answer; not thread-safe.
/// </summary>
internal sealed class NativeResponse(GatewayCall call, ResponseObjectWriter writer)
{
    private readonly Dictionary<string, string> _ids = new(StringComparer.Ordinal);

    /// <summary>The id that stands for a provider's: the same for the same item.</summary>
    public string IdOf(string upstream)
    {
        if (_ids.TryGetValue(upstream, out var known)) return known;
        var end = upstream.IndexOf('_', StringComparison.Ordinal);
        var prefix = end is > 0 and <= 16 && !upstream.AsSpan(0, end).ContainsAnyExceptInRange('a', 'z') ? upstream[..end] : "item";
        return _ids[upstream] = ResponseIds.OfItem(prefix, call, _ids.Count);
    }

    /// <summary>Changes one item of the output.</summary>
    public void Item(JsonObject item, bool withSeal)
    {
        var id = item["id"] is JsonValue given && given.TryGetValue<string>(out var text) ? text : "";
        item["id"] = IdOf(id);
        if (item["encrypted_content"] is not JsonValue content || !content.TryGetValue<string>(out var seal)) return;
        // A compaction is nothing but its seal.
        if (withSeal || (item["type"] is JsonValue type && type.TryGetValue<string>(out var word) && word == "compaction")) item["encrypted_content"] = new SealedReasoning(SealedReasoning.Native, id, seal).ToText();
        else item.Remove("encrypted_content");
    }

    /// <summary>Changes a whole response object.</summary>
    /// <param name="response">The provider's.</param>
    /// <param name="status">In our words, when the call's ending decides it; null to leave the provider's.</param>
    /// <param name="withSeals">Whether sealed reasoning is shown.</param>
    /// <param name="extra">Whether the <c>fairlead</c> object is added, when the caller has extensions on.</param>
    public void Whole(JsonObject response, string? status, bool withSeals, bool extra = true)
    {
        response.Remove("fairlead");
        response["id"] = ResponseIds.Of(call);
        response["model"] = call.Model.Id;
        response["created_at"] = call.StartedAt.ToUnixTimeSeconds();
        response["previous_response_id"] = call.Facts.Responses!.PreviousResponseId;
        response["store"] = call.Facts.Responses.Stores;
        response["background"] = call.Facts.Responses.Background;
        if (status is not null) response["status"] = status;
        if (response["output"] is JsonArray output)
        {
            foreach (var item in output)
            {
                if (item is JsonObject known) Item(known, withSeals);
            }
        }
        // A server of an older date leaves out what clients of today rely on.
        foreach (var (name, value) in Own(status ?? "completed", extra))
        {
            var isOurs = name == "fairlead" || (name == "usage" && !OpenAiChat.NativeUsage.Stands(call));
            if (isOurs || !response.ContainsKey(name)) response[name] = value?.DeepClone();
        }
    }

    private JsonObject Own(string status, bool extra)
    {
        var output = new ArrayBufferWriter<byte>(2048);
        var json = new JsonAppender(output);
        writer.Append(ref json, status, [], withSeals: false, extra);
        json.Flush();
        return (JsonObject)JsonNode.Parse(output.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;
    }
}
