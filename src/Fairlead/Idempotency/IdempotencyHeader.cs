using System.Text;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Idempotency;

/// <summary>
/// Reads the header <c>Idempotency-Key</c>: a string of RFC 9651 in quotes, as its draft has it, or the key without them, as most clients send it. Both
/// forms of one key are the same key.
/// </summary>
internal static class IdempotencyHeader
{
    /// <summary>Characters of a key, its quotes not counted.</summary>
    public const int MaxLength = 255;

    private const string Name = "Idempotency-Key";

    /// <summary>Null and null when there is none.</summary>
    public static (string? Key, GatewayError? Error) Read(IHeaderDictionary headers)
    {
        if (!headers.TryGetValue(Name, out var values)) return (null, null);
        var key = values.Count == 1 ? Read(values[0]) : null;
        return key is null
            ? (null, GatewayError.Invalid(Name, $"The header {Name} takes one key of 1 to {MaxLength} visible ASCII characters, in quotes or without quotes and spaces."))
            : (key, null);
    }

    /// <summary>The key of one header, or null when it is none.</summary>
    internal static string? Read(string? value)
    {
        if (value is null or "") return null;
        var key = value[0] == '"' ? Quoted(value) : value.AsSpan().ContainsAnyExceptInRange('!', '~') ? null : value;
        return key is { Length: >= 1 and <= MaxLength } ? key : null;
    }

    // RFC 9651, section 4.2.5; parameters behind it mean nothing here.
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
