namespace Fairlead.Streaming.Verification;

/// <summary>The index of <see cref="DigestPart.Event"/> for the name of an event or block.</summary>
internal static class EventMark
{
    public static int Of(ReadOnlySpan<byte> name)
    {
        var hash = 0x811C9DC5u;
        foreach (var letter in name) hash = (hash ^ letter) * 0x01000193u;
        return (int)hash;
    }

    public static int Of(string name)
    {
        if (!System.Text.Ascii.IsValid(name)) return Of(System.Text.Encoding.UTF8.GetBytes(name));
        var hash = 0x811C9DC5u;
        foreach (var letter in name) hash = (hash ^ letter) * 0x01000193u;
        return (int)hash;
    }
}
