using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Ids of tool calls in requests to Anthropic's API. Pure.</summary>
internal static class AnthropicToolIds
{
    /// <summary>
    /// A valid id for the API (letters, digits, <c>_</c>, <c>-</c>). Others are replaced, the same way for a call and its result.
    /// </summary>
    public static string Fit(string id)
    {
        var fits = id.Length is > 0 and <= 256;
        foreach (var c in id) fits &= char.IsAsciiLetterOrDigit(c) || c is '_' or '-';
        if (fits) return id;
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(id));
        return string.Concat("call_", Convert.ToHexStringLower(hash.AsSpan(0, 12)));
    }
}
