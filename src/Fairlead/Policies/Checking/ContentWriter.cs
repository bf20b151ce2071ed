using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>Writes a body with other texts in the place of some of its own. Everything else keeps its bytes.</summary>
internal static class ContentWriter
{
    /// <param name="json">The body.</param>
    /// <param name="changes">The texts that are replaced, in the order of the body, each with its new text.</param>
    /// <param name="output">Receives the new body.</param>
    public static void Write(ReadOnlySpan<byte> json, IReadOnlyList<(ContentText Old, string New)> changes, PooledBuffer output)
    {
        var at = 0;
        foreach (var (old, text) in changes)
        {
            output.Write(json[at..old.Start]);
            Write(old, text, output);
            at = old.Start + old.Length;
        }
        output.Write(json[at..]);
    }

    /// <summary>Writes a JSON string.</summary>
    public static void Quoted(string text, PooledBuffer output)
    {
        output.Write("\""u8);
        output.Write(JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes);
        output.Write("\""u8);
    }

    private static void Write(in ContentText old, string text, PooledBuffer output)
    {
        switch (old.Form)
        {
            case ContentForm.Json:
                output.Write(Encoding.UTF8.GetBytes(text));
                break;
            case ContentForm.File:
                Quoted(old.Prefix + Convert.ToBase64String(old.Encoding.GetBytes(text)), output);
                break;
            default:
                Quoted(old.Suffix.IsEmpty ? text : string.Concat(text, old.Suffix.Span), output);
                break;
        }
    }
}
