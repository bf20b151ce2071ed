using Fairlead.Errors;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The supported values of <c>anthropic-version</c> and their differences.</summary>
internal static class AnthropicVersions
{
    public const string Header = "anthropic-version";

    public const string Original = "2023-06-01";

    /// <summary>Rejects sampling parameters, documents in assistant turns and citations on a user's text.</summary>
    public const string October2026 = "2026-10-21";

    /// <summary>
    /// The version of a call. A call without the header gets the original version. Anthropic rejects such a call, but every official
    /// client sends the header: only hand-written calls lack it, and rejecting them would not help anyone.
    /// </summary>
    public static string Of(string? header) => string.IsNullOrEmpty(header) ? Original : header;

    /// <summary>The error for a header value that is neither of the two, or null.</summary>
    public static GatewayError? Check(string? header) => Of(header) is Original or October2026
        ? null
        : GatewayError.Invalid(Header, $"The version in the header '{Header}' is unknown; accepted are {Original} and {October2026}.");
}
