using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Fairlead.Access;

/// <summary>
/// The key that a request presents: <c>Authorization: Bearer</c>, else <c>x-api-key</c>, else <c>api-key</c>. The first header that is
/// present decides. A request is never tried with several keys, so the key that it uses does not depend on the state of the keys.
/// </summary>
internal readonly ref struct PresentedKey
{
    private PresentedKey(ReadOnlySpan<char> text, bool isRepeated)
    {
        Text = text;
        IsRepeated = isRepeated;
    }

    /// <summary>Empty when no key was sent.</summary>
    public ReadOnlySpan<char> Text { get; }

    /// <summary>Whether the deciding header occurs more than once.</summary>
    public bool IsRepeated { get; }

    public static PresentedKey Of(IHeaderDictionary headers)
    {
        var authorization = headers.Authorization;
        if (authorization.Count > 1) return new PresentedKey(default, isRepeated: true);
        if (authorization.Count == 1 && BearerOf(authorization[0]) is { IsEmpty: false } bearer)
            return new PresentedKey(bearer, isRepeated: false);
        return Plain(headers["x-api-key"]) is { IsAbsent: false } key ? key : Plain(headers["api-key"]);
    }

    private bool IsAbsent => Text.IsEmpty && !IsRepeated;

    private static PresentedKey Plain(StringValues values) => values.Count switch
    {
        0 => default,
        1 => new PresentedKey(values[0].AsSpan().Trim(), isRepeated: false),
        _ => new PresentedKey(default, isRepeated: true),
    };

    private static ReadOnlySpan<char> BearerOf(ReadOnlySpan<char> header)
    {
        const string Scheme = "Bearer ";
        // The scheme name is case-insensitive (RFC 9110, section 11.1).
        return header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? header[Scheme.Length..].Trim() : default;
    }
}
