using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Adds the maximum output that the gateway decided to the body of a request that has none.</summary>
internal static class CapOfOutput
{
    public static byte[] ValueOf(int tokens) => Encoding.ASCII.GetBytes(tokens.ToString(CultureInfo.InvariantCulture));

    /// <summary>The member for the body, with a comma before it.</summary>
    public static byte[] MemberOf(string name, int tokens) =>
        Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $",\"{name}\":{tokens}"));

    /// <summary>
    /// The null that the client sent as the value of a member of the body; null if there is none. Many servers use the last of two members
    /// with the same name, so it is replaced and no other is added.
    /// </summary>
    public static ByteRange? FindNull(ReadOnlySpan<byte> body, string name)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isWanted = reader.ValueTextEquals(name);
            reader.Read();
            if (isWanted && reader.TokenType == JsonTokenType.Null)
                return new ByteRange((int)reader.TokenStartIndex, (int)(reader.BytesConsumed - reader.TokenStartIndex));
            reader.Skip();
        }
        return null;
    }
}
