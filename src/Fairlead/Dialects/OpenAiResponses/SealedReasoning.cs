using System.Buffers.Text;
using System.Text;
using Fairlead.Conversation;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Content of <c>encrypted_content</c> of a reasoning item: the provider's encrypted data, the provider's kind, so that it is sent only
/// to that provider, and the provider's id of the item. Opaque to clients.
/// </summary>
/// <param name="Kind">Kind of provider and data.</param>
/// <param name="Id">The provider's id of the item, or empty.</param>
/// <param name="Seal">The encrypted data as received.</param>
internal readonly record struct SealedReasoning(char Kind, string Id, string Seal)
{
    /// <summary>Encrypted content of a server with the Responses API.</summary>
    public const char Native = 'o';

    /// <summary>A signature over readable thinking.</summary>
    public const char Signature = 's';

    /// <summary>Thinking without readable text.</summary>
    public const char Redacted = 'r';

    private const string Prefix = "flr1_";

    public static string Of(ReasoningPart part) => part.Redacted is { } redacted
        ? new SealedReasoning(Redacted, "", redacted).ToText()
        : new SealedReasoning(Signature, "", part.Signature ?? "").ToText();

    /// <summary>Null when the text was not written by this gateway.</summary>
    public static SealedReasoning? Parse(string? text)
    {
        if (text is null || !text.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        var coded = text.AsSpan(Prefix.Length);
        if (!Base64Url.IsValid(coded)) return null;
        string plain;
        try
        {
            plain = Utf8.GetString(Base64Url.DecodeFromChars(coded));
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            return null;
        }
        var end = plain.IndexOf('\n', StringComparison.Ordinal);
        if (end < 1 || plain[0] is not (Native or Signature or Redacted)) return null;
        return new SealedReasoning(plain[0], plain[1..end], plain[(end + 1)..]);
    }

    public string ToText() => Prefix + Base64Url.EncodeToString(Utf8.GetBytes($"{Kind}{Id}\n{Seal}"));

    // Data that is not text was not written here.
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
