using Fairlead.Errors;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The values of <c>anthropic-version</c> that are alive, and what tells them apart (CONTRACTS 4.1).</summary>
internal static class AnthropicVersions
{
    public const string Header = "anthropic-version";

    public const string Original = "2023-06-01";

    /// <summary>Refuses sampling parameters, documents in assistant turns and citations on a user's text.</summary>
    public const string October2026 = "2026-10-21";

    /// <summary>
    /// The version that a call speaks. A call without the header gets the original one: the service itself would refuse it, but every official
    /// client sends the header, so only hand-written calls are without, and for those nothing is gained by a refusal.
    /// </summary>
    public static string Of(string? header) => string.IsNullOrEmpty(header) ? Original : header;

    /// <summary>The fault of a header value that is neither of the two, or null.</summary>
    public static GatewayError? Check(string? header) => Of(header) is Original or October2026
        ? null
        : GatewayError.Invalid(Header, $"The version in the header '{Header}' is not known; accepted are {Original} and {October2026}.");
}
