namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Reads a <c>cache_control</c> member and counts it as a breakpoint; null counts as absent.</summary>
internal static class CacheControlReader
{
    public static void Read(ref BodyCursor json, MessagesPass pass, FieldPath path)
    {
        if (!json.Object(path)) return;
        var hasType = false;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("ttl"u8) ? 2 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    hasType = json.ExtensibleValue($"{path}.type", ["ephemeral"], isRead: false) is not null;
                    break;
                case 2:
                    json.ExtensibleValue($"{path}.ttl", ["5m", "1h"], isRead: false);
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
        if (!hasType) throw RequestErrors.Missing($"{path}.type");
        pass.CountCacheBreakpoint(path);
    }
}
