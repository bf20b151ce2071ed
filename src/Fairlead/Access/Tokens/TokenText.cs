namespace Fairlead.Access.Tokens;

/// <summary>The form of a signed token (RFC 7515): three parts of base64url, the first of which is a JSON object.</summary>
internal static class TokenText
{
    private static readonly System.Buffers.SearchValues<char> Letters =
        System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    /// <summary>Whether it may be a token, in linear time and without parsing it. A key never starts like this.</summary>
    public static bool MayBe(ReadOnlySpan<char> text) =>
        text.StartsWith("ey", StringComparison.Ordinal) && text.Count('.') == 2 && !text.ContainsAnyExcept(Letters);
}
