using System.Text.Json;

namespace Fairlead.Erasure;

/// <summary>
/// The end user that a stored request names: <c>safety_identifier</c>, or else <c>user</c>, or <c>metadata.user_id</c> in a request of the
/// Messages dialect. Requests in stores were accepted once, so this reads no more of them than it needs.
/// </summary>
internal static class RequestEndUser
{
    private const int MaxDepth = 1024;

    /// <summary>The name; null if there is none, or if the bytes are not JSON.</summary>
    /// <param name="request">The body.</param>
    /// <param name="isMessages">Whether it is of the Messages dialect.</param>
    public static string? Of(ReadOnlySpan<byte> request, bool isMessages)
    {
        try
        {
            var json = new Utf8JsonReader(request, new JsonReaderOptions { MaxDepth = MaxDepth });
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return null;
            string? identifier = null, user = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (isMessages && json.ValueTextEquals("metadata"u8)) user = UserId(ref json) ?? user;
                else if (!isMessages && json.ValueTextEquals("safety_identifier"u8)) identifier = Text(ref json);
                else if (!isMessages && json.ValueTextEquals("user"u8)) user = Text(ref json);
                else json.Skip();
            }
            return identifier is { Length: > 0 } ? identifier : user;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>
    /// Whether a member that may name an end user has the selected one, anywhere in a text that need not be valid JSON, or a request.
    /// </summary>
    public static bool IsNamedIn(ReadOnlySpan<byte> text, ErasureSelector selector) =>
        HasMember(text, "\"user\""u8, selector) || HasMember(text, "\"safety_identifier\""u8, selector) || HasMember(text, "\"user_id\""u8, selector);

    private static bool HasMember(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name, ErasureSelector selector)
    {
        while (text.IndexOf(name) is >= 0 and var at)
        {
            text = text[(at + name.Length)..];
            var value = text.TrimStart(" \t\r"u8);
            if (value.IsEmpty || value[0] != (byte)':') continue;
            value = value[1..].TrimStart(" \t\r"u8);
            if (value.IsEmpty || value[0] != (byte)'"') continue;
            try
            {
                // One value; what follows it does not matter.
                var json = new Utf8JsonReader(value, isFinalBlock: false, default);
                if (json.Read() && json.TokenType == JsonTokenType.String && selector.IsEndUser(json.GetString())) return true;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                // No text; another member may be one.
            }
        }
        return false;
    }

    private static string? UserId(ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return null;
        }
        string? user = null;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("user_id"u8)) user = Text(ref json);
            else json.Skip();
        }
        return user;
    }

    private static string? Text(ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.String) return json.GetString();
        json.Skip();
        return null;
    }
}
