using System.Globalization;
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
            if (json.IsFull || !json.StartObject())
            {
                json.Omit();
                break;
            }
            if (json.Name("index")) json.Raw(Encoding.ASCII.GetBytes(index.ToString(CultureInfo.InvariantCulture)));
            if (json.Name("finish_reason")) json.Text(choice.FinishReason);
            if (json.Name("parts") && json.StartArray())
            {
                var texts = redaction is null ? null : Redact(choice, redaction);
                foreach (var part in choice.Parts)
                {
                    if (json.IsFull || !json.StartObject())
                    {
                        json.Omit();
                        break;
                    }
                    Write(part, texts?.GetValueOrDefault(part), redaction, json);
                    json.EndObject();
                }
                json.EndArray();
            }
            json.EndObject();
        }
        json.EndArray();
    }

    /// <summary>
    /// SHA-256 of all texts in their order, each on a line of its own: of a plain response the hash of its text. Null without any. Only once.
    /// </summary>
    public static byte[]? HashOf(OutputCollector output)
    {
        CollectedPart[] parts = [.. output.Choices.Values.SelectMany(choice => choice.Parts)];
        if (parts.Length == 0) return null;
        // The first text may be in it already.
        var first = Array.Find(parts, part => part.Hash is not null);
        using var hash = first?.Hash ?? new TextHash();
        var any = first is not null;
        hash.EndText();
        foreach (var part in parts)
        {
            if (part == first) continue;
            if (part.Type == CollectedPart.ToolCall) Add(part.Name);
            if (any) hash.Append("\n"u8);
            any = true;
            foreach (var piece in part.Content.GetChunks()) hash.Append(piece.Span);
            hash.EndText();
        }
        return hash.Finish();

        void Add(string? text)
        {
            if (any) hash.Append("\n"u8);
            any = true;
            hash.Append(text);
            hash.EndText();
        }
    }

    private static void Write(CollectedPart part, string? redacted, ContentRedaction? redaction, BoundedJson json)
    {
        if (json.Name("type")) json.Text(part.Type);
        var isCall = part.Type == CollectedPart.ToolCall;
        if (isCall && json.Name("id")) json.Text(Redact(part.Id, redaction));
        if (isCall && json.Name("name")) json.Text(Redact(part.Name, redaction));
        if (json.Name(isCall ? "arguments" : IsText(part) ? "text" : "item")) json.Text(redacted ?? TextOf(part, redaction));
    }

    // Texts of one type are one text to a reader, also if others came between: what reaches from one into the next is found, too.
    private static Dictionary<CollectedPart, string> Redact(CollectedChoice choice, ContentRedaction redaction)
    {
        var redacted = new Dictionary<CollectedPart, string>();
        foreach (var channel in choice.Parts.Where(IsText).GroupBy(part => part.Type, StringComparer.Ordinal))
        {
            CollectedPart[] parts = [.. channel];
            // Together first: alone, the end of a value may look like a value, and its beginning would stay.
            var texts = redaction.ApplyJoined([.. parts.Select(part => part.Content.ToString())]);
            for (var i = 0; i < parts.Length; i++) redacted[parts[i]] = WithoutEnd(parts[i], redaction.Apply(texts[i]));
        }
        return redacted;
    }

    private static bool IsText(CollectedPart part) =>
        part.Type is CollectedPart.Text or CollectedPart.Reasoning or CollectedPart.Refusal or CollectedPart.Transcript;

    private static string TextOf(CollectedPart part, ContentRedaction? redaction)
    {
        var text = part.Content.ToString();
        return redaction is null ? text : WithoutEnd(part, redaction.Apply(text, IsText(part) ? ChannelKind.Text : ChannelKind.Json));
    }

    // The rest of what begins there may have been left out, so that it was not recognised.
    private static string WithoutEnd(CollectedPart part, string text)
    {
        if (!part.IsCut) return text;
        var length = Math.Max(0, text.Length - ContentRedaction.LongestMatch);
        // Half of a surrogate pair is no character.
        if (length > 0 && char.IsHighSurrogate(text[length - 1])) length--;
        return text[..length];
    }

    private static string? Redact(string? text, ContentRedaction? redaction) => text is null ? null : redaction?.Apply(text) ?? text;
}
