using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects;

/// <summary>The output of a whole response as text, for counting its tokens where its provider did not.</summary>
internal static class OutputText
{
    // As much as is counted exactly, plus a little for the estimate of the rest.
    private const int MaxChars = 2_000_000;

    /// <summary>
    /// Keeps the text with the meter, unless the provider's count of the output looks plausible: most responses cost nothing here.
    /// </summary>
    public static void KeepUncounted(ReadOnlySpan<byte> body, OutputMeter meter)
    {
        if (!meter.HasContent || meter.OutputBytes == 0) return;
        if (meter.Report is { } report && report[UsageMember.Output] is > 0 and <= UsageResolver.LargestWindow and var output
            && output >= meter.Output.LeastTokens)
        {
            return;
        }
        meter.Kept = Of(body);
    }

    /// <summary>All output of the model, in any of OpenAI's forms. The body is one valid JSON object.</summary>
    public static string Of(ReadOnlySpan<byte> body)
    {
        var text = new StringBuilder();
        var json = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 512 });
        json.Read();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            // A Response repeats the request's tools and instructions beside its output.
            var isOutput = json.ValueTextEquals("choices"u8) || json.ValueTextEquals("output"u8);
            json.Read();
            if (isOutput && json.TokenType == JsonTokenType.StartArray) Append(ref json, text);
            else json.Skip();
        }
        return text.ToString();
    }

    private static void Append(ref Utf8JsonReader json, StringBuilder text)
    {
        var depth = json.CurrentDepth;
        while (json.Read() && json.CurrentDepth > depth)
        {
            if (json.TokenType != JsonTokenType.PropertyName || !IsOutput(json)) continue;
            json.Read();
            if (json.TokenType != JsonTokenType.String || text.Length > MaxChars) continue;
            try
            {
                text.Append(json.GetString());
            }
            catch (InvalidOperationException)
            {
                // Half a surrogate pair is not text.
            }
        }
    }

    private static bool IsOutput(in Utf8JsonReader json) =>
        json.ValueTextEquals("content"u8) || json.ValueTextEquals("text"u8) || json.ValueTextEquals("reasoning_content"u8)
            || json.ValueTextEquals("reasoning"u8)
        || json.ValueTextEquals("refusal"u8) || json.ValueTextEquals("arguments"u8) || json.ValueTextEquals("input"u8)
        || json.ValueTextEquals("name"u8);
}
