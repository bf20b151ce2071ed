using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Adapts a provider's response to this gateway: ids and encrypted reasoning are replaced by ours, gateway settings are set, and
/// everything else is unchanged. One per response; not thread-safe.
/// </summary>
internal sealed class NativeResponse(GatewayCall call, ResponseObjectWriter writer)
{
    private readonly Dictionary<string, string> _ids = new(StringComparer.Ordinal);

    /// <summary>The id that replaces a provider's: the same for the same item.</summary>
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
        // A compaction consists only of encrypted content.
        if (withSeal || (item["type"] is JsonValue type && type.TryGetValue<string>(out var word) && word == "compaction"))
        {
            item["encrypted_content"] = new SealedReasoning(SealedReasoning.Native, id, seal).ToText();
        }
        else item.Remove("encrypted_content");
    }

    /// <summary>Changes a whole response object.</summary>
    /// <param name="response">The provider's response.</param>
    /// <param name="status">The dialect's status, if the call's ending determines it; null to keep the provider's.</param>
    /// <param name="withSeals">Whether encrypted reasoning is included.</param>
    /// <param name="extra">Whether the <c>fairlead</c> object is added, when the client has extensions on.</param>
    public void Whole(JsonObject response, string? status, bool withSeals, bool extra = true)
    {
        response.Remove("fairlead");
        response["id"] = ResponseIds.Of(call);
        response["model"] = call.ReportedModel;
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
        // An older server omits members that current clients rely on.
        foreach (var (name, value) in Own(status ?? "completed", extra))
        {
            var isOurs = name == "fairlead" || (name == "usage" && !OpenAiChat.NativeUsage.IsTrusted(call));
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
