using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Dialects;
using Fairlead.Policies.Matching;

namespace Fairlead.Auditing.Content;

/// <summary>Writes collected output, in one form for all dialects.</summary>
internal static class OutputContent
{
    /// <param name="output">The output.</param>
    /// <param name="redaction">Redacts texts; null to write them as they are.</param>
    /// <param name="json">Receives a list of choices.</param>
    public static void Write(OutputCollector output, ContentRedaction? redaction, BoundedJson json)
    {
        json.StartArray();
        foreach (var (index, choice) in output.Choices)
        {
            if (json.IsFull)
            {
                json.Omit();
                break;
            }
            json.StartObject();
            if (json.Name("index")) json.Raw(Encoding.ASCII.GetBytes(index.ToString(CultureInfo.InvariantCulture)));
            if (json.Name("finish_reason")) json.Text(choice.FinishReason);
            if (json.Name("parts"))
            {
                json.StartArray();
                foreach (var part in choice.Parts)
                {
                    if (json.IsFull)
                    {
                        json.Omit();
                        break;
                    }
                    Write(part, redaction, json);
                }
                json.EndArray();
            }
            json.EndObject();
        }
        json.EndArray();
    }

    /// <summary>
    /// SHA-256 of all texts in their order, each on a line of its own: of a plain response the hash of its text. Null without any.
    /// </summary>
    public static byte[]? HashOf(OutputCollector output)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var any = false;
        foreach (var part in output.Choices.Values.SelectMany(choice => choice.Parts))
        {
            if (part.Type == CollectedPart.ToolCall) Add(part.Name);
            Add(part.Content.ToString());
        }
        return any ? hash.GetHashAndReset() : null;

        void Add(string? text)
        {
            if (any) hash.AppendData("\n"u8);
            any = true;
            hash.AppendData(Encoding.UTF8.GetBytes(text ?? ""));
        }
    }

    private static void Write(CollectedPart part, ContentRedaction? redaction, BoundedJson json)
    {
        json.StartObject();
        if (json.Name("type")) json.Text(part.Type);
        var isCall = part.Type == CollectedPart.ToolCall;
        if (isCall && json.Name("id")) json.Text(Redact(part.Id, redaction));
        if (isCall && json.Name("name")) json.Text(Redact(part.Name, redaction));
        var isText = !isCall && part.Type is CollectedPart.Text or CollectedPart.Reasoning or CollectedPart.Refusal or CollectedPart.Transcript;
        if (json.Name(isCall ? "arguments" : isText ? "text" : "item"))
            json.Text(TextOf(part, redaction, isText ? ChannelKind.Text : ChannelKind.Json));
        json.EndObject();
    }

    private static string TextOf(CollectedPart part, ContentRedaction? redaction, ChannelKind kind)
    {
        var text = part.Content.ToString();
        if (redaction is null) return text;
        text = redaction.Apply(text, kind);
        // The rest of what begins there may have been left out, so that it was not recognised.
        return part.IsCut ? text[..Math.Max(0, text.Length - ContentRedaction.LongestMatch)] : text;
    }

    private static string? Redact(string? text, ContentRedaction? redaction) => text is null ? null : redaction?.Apply(text) ?? text;
}
