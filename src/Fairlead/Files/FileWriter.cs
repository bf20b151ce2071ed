using System.Text.Json;

namespace Fairlead.Files;

/// <summary>Writes the file object of OpenAI.</summary>
internal static class FileWriter
{
    public static void Write(Utf8JsonWriter json, StoredFile file)
    {
        json.WriteStartObject();
        json.WriteString("id", file.Id);
        json.WriteString("object", "file");
        json.WriteNumber("bytes", file.Bytes);
        json.WriteNumber("created_at", file.CreatedAt.ToUnixTimeSeconds());
        json.WriteNumber("expires_at", file.ExpiresAt.ToUnixTimeSeconds());
        json.WriteString("filename", file.FileName);
        json.WriteString("purpose", file.Purpose);
        json.WriteString("status", "processed");
        json.WriteNull("status_details");
        json.WriteEndObject();
    }
}
