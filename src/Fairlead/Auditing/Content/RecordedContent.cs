using System.Text.Json;

namespace Fairlead.Auditing.Content;

/// <summary>What an audit record says about the content of its call. Immutable.</summary>
/// <param name="Level">hash, redacted or full.</param>
/// <param name="Hash">SHA-256 of what is stored beside the record; null at the level hash.</param>
internal sealed record RecordedContent(string Level, byte[]? Hash)
{
    /// <summary>The member of the record.</summary>
    public static ReadOnlySpan<byte> Name => "content"u8;

    // The last member of nearly every record.
    private static ReadOnlySpan<byte> None => ",\"content\":null}"u8;

    /// <summary>Whether there is, or was, content beside the record.</summary>
    public static bool IsStored(ReadOnlySpan<byte> record) => Of(record)?.Hash is not null;

    /// <summary>Finds it in a record; null if its content was not recorded, or if it is no record.</summary>
    public static RecordedContent? Of(ReadOnlySpan<byte> record)
    {
        if (record.EndsWith(None)) return null;
        try
        {
            var reader = new Utf8JsonReader(record);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isContent = reader.ValueTextEquals(Name);
                reader.Read();
                if (isContent) return Read(ref reader);
                reader.Skip();
            }
            return null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    private static RecordedContent? Read(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject) return null;
        var (level, hash) = ("", (byte[]?)null);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isLevel = reader.ValueTextEquals("level"u8);
            var isHash = reader.ValueTextEquals("sha256"u8);
            reader.Read();
            if (isLevel) level = reader.GetString() ?? "";
            else if (isHash && reader.TokenType == JsonTokenType.String) hash = Convert.FromHexString(reader.GetString()!);
            else reader.Skip();
        }
        return new RecordedContent(level, hash);
    }
}
