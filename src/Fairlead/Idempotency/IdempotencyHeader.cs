using System.Text;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Idempotency;

/// <summary>
/// Reads the header <c>Idempotency-Key</c>: a string of RFC 9651 in quotes, as in the draft of the header, or the key without quotes, as
/// most clients send it. Both forms are the same key.
/// </summary>
internal static class IdempotencyHeader
{
    /// <summary>Characters of a key without its quotes.</summary>
    public const int MaxLength = 255;

    private const string Name = "Idempotency-Key";

    private static readonly string WrongForm =
        $"The header {Name} accepts one key of 1 to {MaxLength} visible ASCII characters, in quotes or without quotes and spaces.";

    /// <summary>The key or the error; both are null if there is no header.</summary>
    public static (string? Key, GatewayError? Error) Read(IHeaderDictionary headers)
    {
        if (!headers.TryGetValue(Name, out var values)) return (null, null);
        var key = values.Count == 1 ? Read(values[0]) : null;
        return key is null
            ? (null, GatewayError.Invalid(Name, WrongForm))
            : (key, null);
    }

    /// <summary>The key in one header, or null if it has another form.</summary>
    internal static string? Read(string? value)
    {
        if (value is null or "") return null;
        var key = value[0] == '"' ? Quoted(value) : value.AsSpan().ContainsAnyExceptInRange('!', '~') ? null : value;
        return key is { Length: >= 1 and <= MaxLength } ? key : null;
    }

    // RFC 9651, section 4.2.5. Parameters after it are ignored.
    private static string? Quoted(string value)
    {
        var key = new StringBuilder(value.Length);
        for (var i = 1; i < value.Length; i++)
        {
            var letter = value[i];
            if (letter == '"')
            {
                var rest = value.AsSpan(i + 1).TrimEnd(' ');
                return rest.IsEmpty || rest[0] == ';' ? key.ToString() : null;
            }
            if (letter == '\\')
            {
                if (++i == value.Length || value[i] is not ('"' or '\\')) return null;
                letter = value[i];
            }
            if (letter is < ' ' or > '~') return null;
            key.Append(letter);
        }
        return null;
    }
}
