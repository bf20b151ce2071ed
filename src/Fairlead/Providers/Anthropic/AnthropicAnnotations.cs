using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Providers.Anthropic;

/// <summary>Citations of web pages as OpenAI's annotations, which cannot represent citations of documents.</summary>
internal static class AnthropicAnnotations
{
    /// <summary>The annotation of one citation, or null when it cites no web page.</summary>
    /// <param name="citation">As in <c>citations_delta</c> or a text block's <c>citations</c>.</param>
    /// <param name="end">Letters of text before the citation, which is its end position.</param>
    public static JsonObject? Of(JsonElement citation, int end)
    {
        if (citation.ValueKind != JsonValueKind.Object || !citation.TryGetProperty("url", out var url)
            || url.ValueKind != JsonValueKind.String)
        {
            return null;
        }
        var title = citation.TryGetProperty("title", out var name) && name.ValueKind == JsonValueKind.String ? name.GetString() : null;
        return new JsonObject
        {
            ["type"] = "url_citation",
            ["url_citation"] = new JsonObject
            {
                ["url"] = url.GetString(), ["title"] = title ?? "", ["start_index"] = 0, ["end_index"] = end,
            },
        };
    }
}
